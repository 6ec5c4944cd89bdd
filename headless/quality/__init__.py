"""Meters of what a clip looks like, and the limits from which on it counts as flawed."""
