"""The small LLaVA of the embedded benchmark: how it is built, taught, shipped."""
