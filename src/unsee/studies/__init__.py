"""Experiments over many runs, from which tables and figures of the docs are made."""
