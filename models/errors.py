"""What the readers of model files refuse."""

from __future__ import annotations


class WeightsError(ValueError):
    """A model file cannot be read. The message names the file, what is wrong with it and what to do."""
