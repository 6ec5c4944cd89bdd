"""What a result says about one segment."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from headless.clip_made import ClipMade
from headless.output_checks import Refusal, not_finite_told
from wan2gp_patch.adjustment import Adjustment

LIMITED = "its contrast is so far from what color_lock wants that it was not brought all the way there"


def segment_told(made: ClipMade, first_frame: int) -> dict[str, Any]:
    """One entry of `segments`. `first_frame`: the number in the video of the first frame that it shows.

    `seam` is the border with what comes before; the meter of a chain knows it better than this clip alone.
    """
    clip, generation, checks = made.parts.clip, made.generation, made.parts.checks
    scores = checks.scores(made.kept, generation, made.meter)
    told = {
        "index": clip.index,
        "seed": clip.seed,
        "frames": made.kept.total,
        "first_frame": first_frame,
        "head_frames_cut": generation.num_frames - generation.new_frames,
        "tail_frames_cut": clip.tail_frames,
        "continuation": clip.continues.value,
        "end_frame_mode": generation.end_frame_mode,
        "seam": scores.pop("seam", None),
        "scores": scores,
        "checks": checks.told(generation, made.meter, made.refused),
        "warnings": [*checks.warnings(generation, made.meter), *_limited(made)],
        "reused": made.reused,
        "adjustments": [entry.as_json() for entry in adjustments_of(made)],
        "engine": dict(generation.details),
        "alternatives": [],
    }
    lock = None if made.colours is None else made.colours.lock
    if lock is not None:
        told["color_lock"] = lock.as_json()
    return told


def own_warnings(made: ClipMade) -> tuple[str, ...]:
    """The warnings that do not follow from what is measured of the frames."""
    return *not_finite_told(made.generation), *_limited(made)


def _limited(made: ClipMade) -> tuple[str, ...]:
    lock = None if made.colours is None else made.colours.lock
    return (LIMITED,) if lock is not None and lock.limited else ()


def alternative_told(made: ClipMade) -> dict[str, Any]:
    """One entry of a segment's `alternatives`, less its files."""
    told = segment_told(made, 0)
    names = ("seed", "frames", "scores", "checks", "warnings", "reused")
    return {name: told[name] for name in names}


def refused_told(refusal: Refusal) -> dict[str, Any]:
    """The entry of an alternative that failed its output checks, and has no files."""
    return refusal.as_json()


def adjustments_of(made: ClipMade) -> tuple[Adjustment, ...]:
    """What was adjusted for a clip after it was planned, in the names of the task's fields."""
    fields = made.parts.clip.fields
    return tuple(
        replace(entry, field=fields.get(entry.field, entry.field))
        for entry in (*made.parts.reseeded, *made.adjustments)
    )
