"""Benchmarks: each prints a table and writes one flat JSON object to `build/bench/`."""
