"""What one frame looks like, in a few numbers."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from headless.quality.colour import Plane, lab_planes, luma
from headless.quality.thresholds import Thresholds
from headless.segment import Picture

SAMPLED_SIDE = 64
BRIGHT_PERCENT = 98
MIDDLE = 127.5

Triple = npt.NDArray[np.float64]
"""L*, a* and b*."""


@dataclass(frozen=True, eq=False)
class FrameLook:
    """A frame's brightness and colour. Luma in levels of 0 to 255, the others in L*a*b*.

    `bright`: the luma that 98 % of its pixels do not exceed. `chroma`: the mean distance of its pixels from
    grey, sqrt(a*^2 + b*^2). `luma_mean`, `luma_std`, `lab_mean` and `lab_std` are over its pixels. `pixels`
    is the luma of those that were looked at, for the comparison with the next frame.
    """

    bright: float
    luma_mean: float
    luma_std: float
    chroma: float
    lab_mean: Triple
    lab_std: Triple
    pixels: Plane

    @property
    def luma_distance(self) -> float:
        """How far its mean luma is from the middle of the range, in levels."""
        return abs(self.luma_mean - MIDDLE)

    def is_black(self, limits: Thresholds) -> bool:
        """Whether next to nothing of it is brighter than black.

        The rule of ffmpeg's `blackdetect`, whose `pic_th` is 0.98, with a lower level.
        """
        return limits.black_luma.flagged_by(self.bright)

    def is_grey(self, limits: Thresholds) -> bool:
        """Whether it is flat, without colour and of middle brightness: what a decoder makes of nothing."""
        return (
            limits.grey_luma_std.flagged_by(self.luma_std)
            and limits.grey_chroma.flagged_by(self.chroma)
            and limits.grey_luma_distance.flagged_by(self.luma_distance)
        )


def look_at(frame: Picture) -> FrameLook:
    """Measure a frame, uint8 [H, W, 3], on every n-th pixel of every n-th row.

    n = max(1, shorter side // 64), so at least 64 x 64 pixels are looked at where there are as many. Means
    and shares over a regular grid differ from those over all pixels by far less than the thresholds need.
    """
    n = max(1, min(frame.shape[:2]) // SAMPLED_SIDE)
    seen = frame[::n, ::n]
    brightness, colours = luma(seen), lab_planes(seen.reshape(-1, 3))
    return FrameLook(
        bright=float(np.percentile(brightness, BRIGHT_PERCENT, method="lower")),
        luma_mean=float(brightness.mean()),
        luma_std=float(brightness.std()),
        chroma=float(np.sqrt(colours[1] ** 2 + colours[2] ** 2).mean()),
        lab_mean=colours.mean(axis=1),
        lab_std=colours.std(axis=1),
        pixels=brightness,
    )


def difference(before: FrameLook, after: FrameLook) -> float:
    """How much changed between two frames of one size: the mean absolute difference of luma, 0 to 255."""
    return float(np.abs(after.pixels - before.pixels).mean())


def colour_step(before: FrameLook, after: FrameLook) -> float:
    """How far the mean colour moved: Delta E*ab of CIE 1976, the distance of the means in L*a*b*."""
    return float(np.linalg.norm(after.lab_mean - before.lab_mean))
