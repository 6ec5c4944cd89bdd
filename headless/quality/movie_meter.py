"""Measures a chain of clips as it is shown: every border, and each segment by itself."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from headless.quality.clip_meter import ClipMeter, ClipScores
from headless.quality.frame_look import FrameLook, colour_step, difference, look_at
from headless.quality.seam import WINDOW, Seam, seam
from headless.quality.thresholds import Thresholds
from headless.segment import Picture


@dataclass
class Steps:
    """How much changes from each frame to the next, while they go by; none is kept but two, reduced.

    `differences` and `colour_steps` have one entry fewer than frames were offered.
    """

    differences: list[float] = field(default_factory=list)
    colour_steps: list[float] = field(default_factory=list)
    _first: FrameLook | None = None
    _last: FrameLook | None = None

    @property
    def frames(self) -> int:
        """How many frames were offered."""
        return len(self.differences) + (self._last is not None)

    def offer(self, look: FrameLook) -> None:
        """Take the next frame; all have one size."""
        if self._last is not None:
            self.differences.append(difference(self._last, look))
            self.colour_steps.append(colour_step(self._last, look))
        self._first = self._first or look
        self._last = look

    def seam(self, border: int) -> Seam:
        """The border before frame `border`; see `headless.quality.seam`, which raises `ValueError` for 0."""
        return seam(self.differences, self.colour_steps, border)

    def loop_seam(self) -> Seam:
        """The border between the last frame and the first, which follows it. `ValueError` without frames."""
        if self._first is None or self._last is None:
            raise ValueError("no frame was offered")
        around = [
            [*steps[-WINDOW:], step, *steps[:WINDOW]]
            for steps, step in (
                (self.differences, difference(self._last, self._first)),
                (self.colour_steps, colour_step(self._last, self._first)),
            )
        ]
        return seam(around[0], around[1], min(WINDOW, len(self.differences)) + 1)


@dataclass(frozen=True)
class SegmentScores:
    """One segment as it is shown. `first_frame` counts from the first frame of the first segment.

    `seam` is the border with what is shown before it, if anything is; `scores` are those of its frames alone:
    black, grey and frozen shares, motion, and drift where it has an anchor.
    """

    first_frame: int
    frames: int
    seam: Seam | None
    scores: ClipScores

    def as_json(self) -> dict[str, object]:
        """`scores`, and `seam` beside them where there is one."""
        told: dict[str, object] = {"scores": self.scores.as_json()}
        return told if self.seam is None else told | {"seam": self.seam.as_json()}


@dataclass
class MovieMeter:
    """`begin()` each segment and `offer` every frame that is shown, in order; then ask. One thread at a time.

    Frames that are offered before the first `begin` belong to no segment. The last nine of what comes before
    are enough for the border with it; for the border of a loop all are needed that the video begins with.
    """

    limits: Thresholds
    _steps: Steps = field(default_factory=Steps)
    _before: int = 0
    _starts: list[int] = field(default_factory=list)
    _meters: list[ClipMeter] = field(default_factory=list)

    def begin(self, anchor: Picture | None = None) -> None:
        """The next frame is the first of a segment, whose end will be compared with its anchor."""
        if not self._meters:
            self._before = self._steps.frames
        self._starts.append(self._steps.frames - self._before)
        self._meters.append(ClipMeter(self.limits, 0, anchor))

    def offer(self, frame: Picture) -> None:
        """Measure one frame, uint8 [H, W, 3]; all have one size."""
        self.offer_look(look_at(frame))

    def offer_look(self, look: FrameLook) -> None:
        """Take one frame that has been looked at already."""
        self._steps.offer(look)
        if self._meters:
            self._meters[-1].offer_look(look)

    def segments(self) -> tuple[SegmentScores, ...]:
        """Every segment that has begun. `ValueError` where one has no frame. A border is judged by the frames
        offered so far: its score is final once nine of its segment, or the next ones, are."""
        if self._starts and self._starts[-1] == self._steps.frames - self._before:
            raise ValueError("a segment has begun, and no frame of it was offered")
        ends = (*self._starts[1:], self._steps.frames - self._before)
        return tuple(
            SegmentScores(
                start,
                end - start,
                self._steps.seam(self._before + start) if self._before + start else None,
                meter.scores(),
            )
            for start, end, meter in zip(self._starts, ends, self._meters, strict=False)
        )

    def loop_seam(self) -> Seam:
        """The border between the last frame offered and the first. `ValueError` without frames."""
        return self._steps.loop_seam()


def seams_at(frames: Iterable[Picture], borders: Sequence[int], *, loop: bool = False) -> tuple[Seam, ...]:
    """Scores of the borders before the frames `borders` of a video, and with `loop` of that around it.

    Frames are uint8 [H, W, 3], read once and not kept. Raises `ValueError` for a border that is not between
    two of them.
    """
    steps = Steps()
    for frame in frames:
        steps.offer(look_at(frame))
    inner = tuple(steps.seam(border) for border in borders)
    return (*inner, steps.loop_seam()) if loop else inner
