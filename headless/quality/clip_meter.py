"""Measures a clip while its frames go by, and keeps none of them but the last, reduced."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from statistics import fmean

from headless.quality.drift import FRAMES, Drift, drift
from headless.quality.frame_look import FrameLook, colour_step, difference, look_at
from headless.quality.runs import longest_run, longest_share
from headless.quality.seam import Seam, seam
from headless.quality.thresholds import Thresholds
from headless.segment import Picture


@dataclass(frozen=True)
class ClipScores:
    """What a clip's new frames are like.

    `black_share`, `grey_share` and `frozen_share`: its longest run of black, grey or unchanged frames, as a
    share of all frames (of all steps between frames), 0 to 1; `black_run` and so on the same in frames.
    `motion`: the mean difference between neighbours in levels of luma, 0 to 255. `seam`: its border with what
    it continues, where it does. `drift`: its end against the anchor, where there is one.
    """

    black_share: float
    grey_share: float
    frozen_share: float
    black_run: int
    grey_run: int
    frozen_run: int
    motion: float
    seam: Seam | None = None
    drift: Drift | None = None

    def as_json(self) -> dict[str, object]:
        """What goes into a result."""
        told: dict[str, object] = {
            "black_share": round(self.black_share, 4),
            "grey_share": round(self.grey_share, 4),
            "frozen_share": round(self.frozen_share, 4),
            "motion": round(self.motion, 3),
        }
        if self.seam is not None:
            told["seam"] = self.seam.as_json()
        if self.drift is not None:
            told["drift"] = self.drift.as_json()
        return told


@dataclass
class ClipMeter:
    """Offer every frame in order, then ask for `scores()`. One thread at a time.

    The first `head` frames repeat what the clip continues: they count for nothing but the seam.
    """

    limits: Thresholds
    head: int = 0
    anchor: Picture | None = None
    _frames: int = 0
    _before: FrameLook | None = None
    _last: list[FrameLook] = field(default_factory=list)
    _black: list[bool] = field(default_factory=list)
    _grey: list[bool] = field(default_factory=list)
    _differences: list[float] = field(default_factory=list)
    _colour_steps: list[float] = field(default_factory=list)

    def offer(self, frame: Picture) -> None:
        """Measure one frame, uint8 [H, W, 3]; all have one size."""
        self.offer_look(look_at(frame))

    def offer_look(self, look: FrameLook) -> None:
        """Take one frame that has been looked at already."""
        if self._before is not None:
            self._differences.append(difference(self._before, look))
            self._colour_steps.append(colour_step(self._before, look))
        self._black.append(look.is_black(self.limits))
        self._grey.append(look.is_grey(self.limits))
        self._last = [*self._last[1 - FRAMES :], look]
        self._before = look
        self._frames += 1

    @property
    def continues_black(self) -> bool:
        """Whether the clip goes on from a black frame."""
        return self.head > 0 and self._black[self.head - 1]

    @property
    def continues_grey(self) -> bool:
        """Whether the clip goes on from a grey frame."""
        return self.head > 0 and self._grey[self.head - 1]

    def scores(self) -> ClipScores:
        """Sum up. Raises `ValueError` where no new frame was offered."""
        if self._frames <= self.head:
            raise ValueError(f"{self._frames} frames were offered, and the first {self.head} are not new")
        black, grey = self._black[self.head :], self._grey[self.head :]
        steps = self._differences[self.head :]
        frozen = [self.limits.frozen_difference.flagged_by(step) for step in steps]
        return ClipScores(
            black_share=longest_share(black),
            grey_share=longest_share(grey),
            frozen_share=longest_share(frozen),
            black_run=longest_run(black),
            grey_run=longest_run(grey),
            frozen_run=longest_run(frozen),
            motion=fmean(steps) if steps else 0.0,
            seam=seam(self._differences, self._colour_steps, self.head) if self.head else None,
            drift=self._drift(),
        )

    def _drift(self) -> Drift | None:
        if self.anchor is None:
            return None
        return drift(self._last[-(self._frames - self.head) :], look_at(self.anchor))


def measure(
    frames: Iterable[Picture], limits: Thresholds, *, head: int = 0, anchor: Picture | None = None
) -> ClipScores:
    """Measure a whole clip; see `ClipMeter`."""
    meter = ClipMeter(limits, head, anchor)
    for frame in frames:
        meter.offer(frame)
    return meter.scores()


def seam_between(earlier: Sequence[Picture], later: Sequence[Picture]) -> Seam:
    """The seam between two clips of one size that are shown one after the other."""
    looks = [look_at(frame) for frame in (*earlier[-10:], *later[:10])]
    pairs = list(pairwise(looks))
    border = min(len(earlier), 10)
    return seam([difference(*pair) for pair in pairs], [colour_step(*pair) for pair in pairs], border)
