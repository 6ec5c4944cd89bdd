"""Options that act on the encoded latents: references before them, weights, stronger empty frames."""

from __future__ import annotations

from numbers import Real
from typing import Final

import torch
from torch import Tensor

from wan2gp_patch.errors import ConditioningError
from wan2gp_patch.latent_layout import check_latents

STRONGEST: Final = 10.0
"""The largest strength, of every kind."""


def check_strengths(**strengths: object) -> None:
    """Raises `ConditioningError` unless all are numbers from 0 to 10."""
    for name, value in strengths.items():
        if isinstance(value, bool) or not isinstance(value, Real) or not 0 <= float(value) <= STRONGEST:
            raise ConditioningError(f"{name} is {value!r}; legal are numbers from 0 to {STRONGEST:g}")


def with_references(latents: Tensor, mask: Tensor, references: Tensor | None) -> tuple[Tensor, Tensor]:
    """Latents and mask with reference latents [16, r, h, w] before them, all known."""
    if references is None:
        return latents, mask
    check_latents("reference_latents", references, latents)
    ones = mask.new_ones(mask.shape[0], references.shape[1], *mask.shape[2:])
    return torch.cat([references.to(latents), latents], dim=1), torch.cat([ones, mask], dim=1)


def weighted(latents: Tensor, mask: Tensor, *, first: float, last: float, augment_empty: float) -> Tensor:
    """The first latent frame times `first`, the last times `last`, and the empty ones further from the first.

    With `augment_empty` e > 0, latent frames whose first mask channel has a mean under 0.5 become
    y0 + (y - y0) * (e + 1), y0 the (weighted) first latent frame.
    """
    latents = latents.clone()
    latents[:, :1] *= first
    latents[:, -1:] *= last
    if augment_empty == 0.0:
        return latents
    empty = (mask[0].mean(dim=(-2, -1)) < 0.5).view(1, -1, 1, 1)
    origin = latents[:, :1]
    return origin + (latents - origin) * torch.where(empty, augment_empty + 1.0, 1.0)
