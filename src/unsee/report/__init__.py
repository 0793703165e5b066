"""Finished runs, side by side: a table for the terminal and the docs, and a page to look at."""
