"""What was adjusted in all clips of a chain, told once, by the fields of the task."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Final

from headless.planning.wanted import Wanted
from wan2gp_patch.adjustment import Adjustment

_IDLE: Final = {
    "end_frame_mode": None,
    "motion_latent_count": None,
    "svi_pad_empty_frames_with_anchor": False,
}
"""Settings that only some clips can use, and how an adjustment says that a clip does not."""
_OF_THE_FIRST: Final = ("width", "height")
"""Adjusted in the first clip, which the others follow."""


def of_all(wanted: Sequence[Wanted], adjusted: Sequence[Sequence[Adjustment]]) -> tuple[Adjustment, ...]:
    """The adjustments of every clip. One of a value that clips share is told once, with the clips where it is
    not all of them; a setting that acts in one clip is not told of the others.
    """
    found: dict[str, tuple[Adjustment, list[int]]] = {}
    for one, entries in zip(wanted, adjusted, strict=True):
        for entry in entries:
            named = replace(entry, field=one.name(entry.field))
            found.setdefault(repr(named), (named, []))[1].append(one.index)
    told: list[Adjustment] = []
    for entry, indices in found.values():
        sharing = _sharing(wanted, entry.field)
        if _is_idle(entry) and len(sharing) > 1:
            everywhere = {i for other, at in found.values() for i in at if _is_idle(other, entry.field)}
            if everywhere >= set(sharing) and max(everywhere) in indices:
                told.append(entry)
        elif entry.field in _OF_THE_FIRST or set(indices) >= set(sharing):
            told.append(entry)
        else:
            told.append(replace(entry, why=f"{entry.why} ({_segments(indices)})"))
    return tuple(told)


def _sharing(wanted: Sequence[Wanted], field: str) -> list[int]:
    """The clips for which the task says `field`; none for a field of one segment."""
    return [
        one.index for one in wanted if not one.has_own(field) and getattr(one.params, field, None) is not None
    ]


def _is_idle(entry: Adjustment, field: str | None = None) -> bool:
    return (
        entry.field in _IDLE
        and field in (None, entry.field)
        and entry.used == _IDLE[entry.field]
        and entry.requested != entry.used
    )


def _segments(indices: Sequence[int]) -> str:
    if len(indices) == 1:
        return f"segment {indices[0]}"
    return f"segments {', '.join(map(str, indices[:-1]))} and {indices[-1]}"
