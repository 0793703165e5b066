"""Attacks on an erasure: one file an attack, over one base."""
