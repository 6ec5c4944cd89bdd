"""Clips of a small model, trained on the synthetic world, for the benchmark of methods."""
