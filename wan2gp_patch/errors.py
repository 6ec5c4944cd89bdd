"""What the conditioning refuses."""

from __future__ import annotations


class ConditioningError(ValueError):
    """An input of the conditioning is wrong. The message names the input, its value and the legal values."""
