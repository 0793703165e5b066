"""How much memory an unlearning run needs, from a model's configuration alone."""
