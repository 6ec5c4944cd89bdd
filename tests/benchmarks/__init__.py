"""Tests of the benchmarks. None of them looks at a time."""
