"""Which part of the encoder may be skipped where pixels stand still. Pure: whole numbers only.

The encoder is a chain of units (convolution, residual block, resampling, attention), run once per chunk of
pixel frames: frame 0, then 4 frames at a time. Where the pixels have not changed since frame s, the output of
a unit has not changed since a frame that its convolutions' reach in time gives: a convolution over three
frames reaches back two, a halving of time maps frame s to ceil(s / 2) + 1.

If the whole output of a unit in the chunk before already lay in that range, then its input and its cached
input did too, so running it again would put the same numbers through the same kernels: its output is the
tensor that it gave before and its cache is the one that it has. Depth only adds reach, so the units that may
be skipped are always the first few of the chain.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from wan2gp_patch.frames import FRAMES_PER_LATENT


@dataclass(frozen=True)
class Reach:
    """How far a unit looks back: its causal convolutions over three frames, and whether it halves time."""

    convolutions: int = 0
    halves_time: bool = False

    def settled(self, since: int) -> int:
        """First output frame that no longer changes if the input has not changed since frame `since`."""
        since += 2 * self.convolutions
        return -(-since // 2) + 1 if self.halves_time else since


def still_since(same: Sequence[bool], ends: Sequence[int]) -> tuple[int, ...]:
    """For each chunk, the frame since which nothing has changed up to the chunk's last frame.

    `same[i]` says that frame i equals frame i - 1; `ends` are the chunks' exclusive ends.
    """
    changed = 0
    since: list[int] = []
    frame = 0
    for end in ends:
        for i in range(frame, end):
            if i and not same[i]:
                changed = i
        frame = end
        since.append(changed)
    return tuple(since)


def units_to_skip(units: Sequence[Reach], since: Sequence[int]) -> tuple[int, ...]:
    """How many units at the head of the chain are skipped in each chunk, for `still_since`'s answer."""
    return tuple(_settled_units(units, chunk, start) for chunk, start in enumerate(since))


def _settled_units(units: Sequence[Reach], chunk: int, since: int) -> int:
    """Units whose output of chunk `chunk` - 1 lay wholly in the settled range."""
    if chunk < 2:
        return 0
    frames = FRAMES_PER_LATENT
    for count, unit in enumerate(units):
        since = unit.settled(since)
        frames = frames // 2 if unit.halves_time else frames
        start_of_previous = 1 + frames * (chunk - 2)
        if start_of_previous < since:
            return count
    return len(units)
