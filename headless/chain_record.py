"""What is known of a chain's clips as they are finished: for the result, and for the contact sheet."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from headless.clip_made import ClipMade
from headless.media.chain_sheet import SegmentPictures, write_chain_sheet
from headless.media.fit import fit_picture
from headless.media.stills import write_poster
from headless.quality.movie_meter import MovieMeter, SegmentScores
from headless.quality.thresholds import Thresholds
from headless.quality.verdict import warnings
from headless.segment import Picture
from headless.segment_told import own_warnings, segment_told

FULL_SIZE_SEGMENTS = 8
"""A longer chain keeps its pictures small: they wait in memory for the contact sheet."""
SMALL_SIDE = 480


@dataclass
class _Told:
    """One segment. `pictures`: of its frames, by their numbers in the video."""

    known: dict[str, Any]
    title: str
    pictures: dict[int, Picture]
    before: Picture | None
    given: dict[str, Picture]
    own_warnings: tuple[str, ...]
    """Those that do not follow from what is measured."""


class ChainRecord:
    """Takes finished clips in their order, in one thread; then it is asked.

    `head`: how many frames the video has before the first clip; `newest`: the last of those; `anchor`: how
    things should look in the end, where a clip has no anchor of its own.
    """

    def __init__(
        self,
        head: int,
        newest: Sequence[Picture],
        anchor: Picture | None,
        segments: int,
        limits: Thresholds,
    ) -> None:
        self._limits = limits
        self._meter = MovieMeter(limits)
        for frame in newest:
            self._meter.offer(frame)
        self._anchor = anchor
        self._small = segments > FULL_SIZE_SEGMENTS
        self._segments = segments
        self._last = self._kept(newest[-1]) if newest else None
        self._told: list[_Told] = []
        self.frames = head

    def add(self, made: ClipMade) -> None:
        """The next clip."""
        clip, kept, given = made.parts.clip, made.kept, made.parts.inputs.pictures
        own = made.parts.checks.anchor if clip.plan.svi2pro else None
        self._meter.begin(self._anchor if own is None else own)
        for look in made.looks:
            self._meter.offer_look(look)
        seen = {self.frames + index: self._kept(frame) for index, frame in sorted(kept.pictures.items())}
        title = f"segment {clip.index} of {self._segments}  seed {clip.seed}  {clip.plan.prompt}"
        known = segment_told(made, self.frames)
        self._told.append(_Told(known, title, seen, self._last, given, own_warnings(made)))
        self.frames += kept.total
        self._last = seen[self.frames - 1]

    def add_alternative(self, index: int, told: dict[str, Any]) -> None:
        """Another clip for segment `index`."""
        self._told[index].known["alternatives"].append(told)

    def segments(self, *, loop: bool) -> list[dict[str, Any]]:
        """What the result says of them, with the seams as they are in the video."""
        measured = self._meter.segments()
        for told, scores in zip(self._told, measured, strict=True):
            told.known |= self._as_measured(told, scores)
        if loop:
            self._told[-1].known["loop_seam"] = self._meter.loop_seam().as_json()
        return [told.known for told in self._told]

    def write_stills(self, poster: Path, sheet: Path, *, title: str, loop: bool) -> None:
        """The poster, from the middle of the video, and the contact sheet."""
        middle = self._told[len(self._told) // 2].pictures
        write_poster(list(middle.values())[len(middle) // 2], poster)
        first = self._told[0]
        ends = None
        if loop and self._last is not None:
            ends = self._last, first.pictures[min(first.pictures)]
        write_chain_sheet(
            [_pictures(told) for told in self._told],
            sheet,
            title=title,
            loop=ends,
            loop_seam=_caption(self._told[-1].known.get("loop_seam")),
        )

    def _as_measured(self, segment: _Told, scores: SegmentScores) -> dict[str, Any]:
        known, whole = segment.known, replace(scores.scores, seam=scores.seam)
        # A segment that was told where to go is not blamed for being there.
        blamed = replace(whole, drift=None) if "end_image" in segment.given else whole
        told = {key: value for key, value in whole.as_json().items() if key != "seam"}
        return {
            "seam": None if scores.seam is None else scores.seam.as_json(),
            "scores": known["scores"] | told,
            "warnings": [*segment.own_warnings, *warnings(blamed, self._limits)],
        }

    def _kept(self, frame: Picture) -> Picture:
        height, width = frame.shape[:2]
        scale = SMALL_SIDE / max(height, width)
        if not self._small or scale >= 1:
            return frame
        return fit_picture(frame, round(width * scale), round(height * scale))[0]


def _pictures(told: _Told) -> SegmentPictures:
    return SegmentPictures(
        title=told.title,
        frames=told.pictures,
        anchor=told.given.get("anchor_image"),
        start=told.given.get("start_image"),
        end=told.given.get("end_image"),
        before=told.before,
        seam=_caption(told.known["seam"]),
    )


def _caption(seam: dict[str, float] | None) -> str:
    return "" if seam is None else f"difference {seam['difference']:g}  colour {seam['colour']:g}"
