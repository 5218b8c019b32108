"""What the benchmarks share: environments, materials, interleaved runs, and their table."""
