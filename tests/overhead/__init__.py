"""Tests of what the worker does beside its engine."""
