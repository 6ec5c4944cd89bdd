"""Seeded numbers for the tiny model. NumPy's uniform doubles are the same bits on every machine."""

from __future__ import annotations

import numpy as np
import torch


def fill_uniform(parameter: torch.Tensor, rng: np.random.Generator, deviation: float) -> None:
    """Fill in place with uniform numbers of mean 0 and the given standard deviation."""
    limit = deviation * 3**0.5
    values = rng.uniform(-limit, limit, size=tuple(parameter.shape)).astype(np.float32)
    parameter.copy_(torch.from_numpy(values))
