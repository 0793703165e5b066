"""Unlearning methods, one file each over `base.UnlearningTrainer`."""
