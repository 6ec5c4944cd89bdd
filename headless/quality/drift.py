"""How far a clip has wandered from how things should look."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from headless.quality.frame_look import FrameLook, Triple

FRAMES = 4
_FLAT = 0.5


@dataclass(frozen=True, eq=False)
class Drift:
    """The end of a clip against the anchor.

    `lab_mean`, `lab_std`: mean and standard deviation over the pixels, the clip's less the anchor's, in
    L*a*b*. `delta_e`: the length of `lab_mean`. `contrast`: the ratio of the standard deviations of L*.
    """

    delta_e: float
    contrast: float
    lab_mean: Triple
    lab_std: Triple

    def as_json(self) -> dict[str, object]:
        """Everything, rounded."""
        return {
            "delta_e": round(self.delta_e, 3),
            "contrast": round(self.contrast, 3),
            "lab_mean": [round(float(value), 3) for value in self.lab_mean],
            "lab_std": [round(float(value), 3) for value in self.lab_std],
        }


def drift(looks: Sequence[FrameLook], anchor: FrameLook) -> Drift:
    """Compare the mean over the last 4 frames (or all, of fewer) with the anchor picture.

    It does not know whether the change was asked for: a scene in which the sun goes down drifts, too. An
    anchor with a deviation of L* under 0.5 counts as 0.5 in the ratio. Raises `ValueError` without frames.
    """
    if not looks:
        raise ValueError("drift needs at least one frame")
    last = looks[-FRAMES:]
    mean = np.mean([look.lab_mean for look in last], axis=0)
    deviation = np.mean([look.lab_std for look in last], axis=0)
    moved = mean - anchor.lab_mean
    contrast = float(deviation[0] / max(float(anchor.lab_std[0]), _FLAT))
    return Drift(float(np.linalg.norm(moved)), contrast, moved, deviation - anchor.lab_std)
