"""Published benchmarks: their tables as they lie on the hub or in a folder, row by row."""
