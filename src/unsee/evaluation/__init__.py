"""What a model answers, how well, and how far it is from gold."""
