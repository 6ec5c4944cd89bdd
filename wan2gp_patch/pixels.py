"""Pixels on their way into the conditioning: checked, fitted, laid out."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import groupby
from typing import Final

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from wan2gp_patch.adjustment import Adjustment
from wan2gp_patch.errors import ConditioningError
from wan2gp_patch.frames import SIZE_MULTIPLE, whole_number

CUT_MARGIN: Final = 2e-5


def check_size(height: int, width: int) -> None:
    """Raises `ConditioningError` unless both are positive multiples of 16."""
    for name, given in (("height", height), ("width", width)):
        size = whole_number(name, given)
        if size < SIZE_MULTIPLE or size % SIZE_MULTIPLE:
            below = max(SIZE_MULTIPLE, size - size % SIZE_MULTIPLE)
            raise ConditioningError(
                f"{name} is {size}; legal values are multiples of 16, the nearest {below} and {below + 16}"
            )


def check_pixels(name: str, pixels: object) -> None:
    """Raises `ConditioningError` unless `pixels` are float32 [3, T, H, W], T >= 1, in [-1, 1], not NaN."""
    if not isinstance(pixels, Tensor):
        raise ConditioningError(f"{name} is a {type(pixels).__name__}; legal is a tensor [3, T, H, W]")
    if pixels.ndim != 4 or pixels.shape[0] != 3 or not pixels.numel():
        raise ConditioningError(
            f"{name} is {list(pixels.shape)}; legal is [3, T, H, W] with at least one frame"
        )
    if pixels.dtype != torch.float32:
        raise ConditioningError(f"{name} is {pixels.dtype}; legal is torch.float32 in [-1, 1]")
    low, high = (float(value) for value in torch.stack(torch.aminmax(pixels)).tolist())
    if not (low >= -1.0 and high <= 1.0):
        raise ConditioningError(
            f"{name} holds values from {low:.9g} to {high:.9g}; legal are numbers in [-1, 1]"
        )


def fit(name: str, pixels: Tensor, height: int, width: int) -> tuple[Tensor, list[Adjustment]]:
    """Pixels at the clip's size: as they are, or resized with Lanczos, which is reported."""
    check_pixels(name, pixels)
    if tuple(pixels.shape[2:]) == (height, width):
        return pixels, []
    size = f"{pixels.shape[3]}x{pixels.shape[2]}"
    adjustment = Adjustment(name, size, f"{width}x{height}", "resized with Lanczos to the size of the clip")
    return _lanczos(pixels, height, width), [adjustment]


def _lanczos(pixels: Tensor, height: int, width: int) -> Tensor:
    """Resize [3, T, H, W] in 8 bits per channel, as image tools do."""
    # Levels are cut, not rounded, as the reference does; without the margin 63 of the 256 levels would come
    # back one lower, because level / 255 * 2 - 1 is not exact in float32.
    frames = ((pixels + 1) * 127.5 + CUT_MARGIN).clamp(0, 255).to("cpu", torch.uint8).permute(1, 2, 3, 0)
    resized = [
        np.asarray(Image.fromarray(frame).resize((width, height), Image.Resampling.LANCZOS))
        for frame in frames.contiguous().numpy()
    ]
    joined = torch.from_numpy(np.stack(resized)).permute(3, 0, 1, 2)
    return (joined.to(torch.float32) / 255 * 2 - 1).to(pixels.device)


def with_noise(pixels: Tensor, strength: float, generator: torch.Generator | None) -> Tensor:
    """Pixels plus normal noise of standard deviation `strength`, none where a pixel is exactly -1."""
    if strength == 0.0:
        return pixels
    if generator is None:
        raise ConditioningError(
            f"noise_augmentation is {strength:g} without a generator; "
            "give generator=torch.Generator().manual_seed(seed)"
        )
    noise = torch.randn(pixels.shape, generator=generator, device=generator.device).to(pixels.device)
    return torch.where(pixels == -1.0, pixels, pixels + strength * noise)


def filler(
    first: int, stop: int, like: Tensor, pad: Tensor | None = None, empty: Sequence[bool] | None = None
) -> list[Tensor]:
    """Frames `first` .. `stop` - 1 between the given ones, in parts; runs of one frame are made by `expand`.

    They are mid-grey (0.0), or, where a frame is `empty`, the frame of `pad` at the same place in time, its
    last one beyond its end. `like` gives the size and the device.
    """
    grey = like.new_zeros(3, 1, *like.shape[2:])

    def content(frame: int) -> str:
        if pad is None or (empty is not None and not empty[frame]):
            return "grey"
        return "pad" if frame < pad.shape[1] - 1 else "last"

    parts: list[Tensor] = []
    for kind, group in groupby(range(first, stop), content):
        frames = list(group)
        if pad is None or kind == "grey":
            parts.append(grey.expand(-1, len(frames), -1, -1))
        elif kind == "pad":
            parts.append(pad[:, frames[0] : frames[-1] + 1])
        else:
            parts.append(pad[:, -1:].expand(-1, len(frames), -1, -1))
    return parts
