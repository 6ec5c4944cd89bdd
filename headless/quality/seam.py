"""Whether a border between two clips shows."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from statistics import median

WINDOW = 8
DIFFERENCE_FLOOR = 0.5
COLOUR_FLOOR = 0.25


@dataclass(frozen=True)
class Seam:
    """How a step over a border compares with the steps around it: 1 is like them, 0 is standing still.

    `difference` is about brightness, pixel by pixel, and `colour` about the mean colour of the frame.
    """

    difference: float
    colour: float

    def as_json(self) -> dict[str, float]:
        """Both, rounded."""
        return {"difference": round(self.difference, 3), "colour": round(self.colour, 3)}


def seam(differences: Sequence[float], colour_steps: Sequence[float], border: int) -> Seam:
    """Score the step into frame `border`, the first of the later clip.

    `differences[i]` and `colour_steps[i]` are those between frames i and i + 1. Each is divided by the median
    of the (at most) 8 steps before it and the 8 after it, itself left out; a median below 0.5 levels, or
    0.25 Delta E, counts as that much, so that a border in a still clip is not judged by its noise. Without
    any neighbour the score is in those units.

    Raises `ValueError` where `border` has no frame before it or is not in the clip.
    """
    if not 1 <= border <= len(differences) or len(differences) != len(colour_steps):
        raise ValueError(f"border is {border}; legal for these steps is 1 to {len(differences)}")
    return Seam(
        _against_neighbours(differences, border - 1, DIFFERENCE_FLOOR),
        _against_neighbours(colour_steps, border - 1, COLOUR_FLOOR),
    )


def _against_neighbours(steps: Sequence[float], at: int, floor: float) -> float:
    around = [*steps[max(0, at - WINDOW) : at], *steps[at + 1 : at + 1 + WINDOW]]
    return steps[at] / max(median(around) if around else 0.0, floor)
