"""Pixel frames on their way into the VAE: a clip in parts, of which some are one frame repeated."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeAlias

import torch
from torch import Tensor

from wan2gp_patch.errors import ConditioningError

Video: TypeAlias = "Tensor | Sequence[Tensor]"
"""Pixels [3, t, H, W], or such parts one after the other in time."""


def _check(parts: Sequence[object]) -> None:
    """Raises `ConditioningError` unless there are parts, all of them floats [3, t, H, W] of one H and W."""
    tensors = [part for part in parts if isinstance(part, Tensor)]
    if len(tensors) < len(parts):
        kinds = ", ".join(sorted({type(part).__name__ for part in parts}))
        raise ConditioningError(f"pixels are {kinds}; legal are tensors [3, frames, H, W]")
    if not tensors:
        raise ConditioningError("there are no pixels; legal is [3, frames, H, W] with at least one frame")
    size = tensors[0].shape[2:]
    if any(p.ndim != 4 or p.shape[0] != 3 or p.shape[2:] != size or not size.numel() for p in tensors):
        shapes = " and ".join(str(list(part.shape)) for part in tensors)
        raise ConditioningError(f"pixels are {shapes}; legal is [3, frames, H, W], all of one size")
    if not all(part.is_floating_point() for part in tensors):
        kinds = " and ".join(sorted({str(part.dtype) for part in tensors}))
        raise ConditioningError(f"pixels are {kinds}; legal are floating-point numbers in [-1, 1]")


class PixelFrames:
    """A clip of parts that are never joined as a whole.

    A part that was made by `expand` (its stride in time is 0) is one frame repeated: nothing needs to be
    compared to know it. A clip handed in as one tensor is compared with itself, once, where it lies.
    """

    def __init__(self, video: Video) -> None:
        given = [video] if isinstance(video, Tensor) else list(video)
        _check(given)
        parts = [part for part in given if part.shape[1]] or given[:1]
        self._parts = parts
        self._compare = isinstance(video, Tensor)
        self.num_frames = sum(part.shape[1] for part in parts)
        self.height, self.width = int(parts[0].shape[2]), int(parts[0].shape[3])

    def frames(self, start: int, end: int) -> Tensor:
        """Frames `start` .. `end` - 1, [3, end - start, H, W]."""
        pieces: list[Tensor] = []
        offset = 0
        for part in self._parts:
            length = part.shape[1]
            piece = part[:, max(0, start - offset) : max(0, end - offset)]
            if piece.shape[1]:
                pieces.append(piece)
            offset += length
        return pieces[0] if len(pieces) == 1 else torch.cat(pieces, dim=1)

    def unchanged(self) -> list[bool]:
        """For each frame, whether it is known to equal the frame before it."""
        same: list[bool] = []
        for part in self._parts:
            same.append(False)
            same.extend(self._unchanged_within(part))
        return same

    def _unchanged_within(self, part: Tensor) -> list[bool]:
        if part.shape[1] == 1:
            return []
        if part.stride(1) == 0:
            return [True] * (part.shape[1] - 1)
        if not self._compare:
            return [False] * (part.shape[1] - 1)
        equal = (part[:, 1:] == part[:, :-1]).all(dim=0).flatten(1).all(dim=1)
        return [bool(value) for value in equal.tolist()]
