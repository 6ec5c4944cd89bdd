"""The images of a clip: checked, at the clip's size, on one device."""

from __future__ import annotations

from dataclasses import dataclass, replace

import torch
from torch import Tensor

from wan2gp_patch.adjustment import Adjustment
from wan2gp_patch.errors import ConditioningError
from wan2gp_patch.pixels import fit, with_noise


@dataclass(frozen=True)
class Images:
    """Pixels [3, a, H, W] of one size and device, any of them absent. `like` has that size and device."""

    start: Tensor | None
    end: Tensor | None
    pad: Tensor | None
    like: Tensor

    @property
    def start_frames(self) -> int:
        """How many start frames there are."""
        return 0 if self.start is None else self.start.shape[1]

    @property
    def end_frames(self) -> int:
        """How many end frames there are."""
        return 0 if self.end is None else self.end.shape[1]

    def with_noise(self, strength: float, generator: torch.Generator | None) -> Images:
        """The same with noise on the start and the end, in this order from the generator."""
        start, end = (
            None if pixels is None else with_noise(pixels, strength, generator)
            for pixels in (self.start, self.end)
        )
        return replace(self, start=start, end=end)


def fitted_images(
    height: int, width: int, *, start: Tensor | None, end: Tensor | None, pad_video: Tensor | None
) -> tuple[Images, list[Adjustment]]:
    """The images at the clip's size, and which of them had to be resized. Raises `ConditioningError`."""
    adjustments: list[Adjustment] = []
    fitted: dict[str, Tensor | None] = {}
    for name, pixels in (("start", start), ("end", end), ("pad_video", pad_video)):
        fitted[name], changes = (None, []) if pixels is None else fit(name, pixels, height, width)
        adjustments += changes
    given = fitted["start"] if fitted["start"] is not None else fitted["end"]
    device = torch.device("cpu") if given is None else given.device
    start, end, pad = (None if pixels is None else pixels.to(device) for pixels in fitted.values())
    return Images(start, end, pad, torch.zeros(3, 1, height, width, device=device)), adjustments


def same_size(**images: Tensor | None) -> tuple[int, int]:
    """Height and width of the images that are given. Raises `ConditioningError` where they differ."""
    sizes = {name: tuple(pixels.shape[2:]) for name, pixels in images.items() if pixels is not None}
    if len(set(sizes.values())) != 1:
        listed = ", ".join(f"{name} {size[1]}x{size[0]}" for name, size in sizes.items())
        raise ConditioningError(f"images of one clip differ in size: {listed}; legal is one size for all")
    height, width = next(iter(sizes.values()))
    return int(height), int(width)
