"""Teaching a model a benchmark, or one's own records: vanilla, and gold beside it."""
