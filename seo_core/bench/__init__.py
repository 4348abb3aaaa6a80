"""Benchmarks: contestants take turns, and their ratios are reported."""
