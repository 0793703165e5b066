"""Scoring of the published benchmarks; one file a benchmark over one base."""
