"""What a task wants of each of its clips: its segments, each with the task's values where it has no own."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from headless.params.chain import SegmentParams
from headless.params.generate import REFERENCES, GenerateParams

_OF_THE_WHOLE: Final[Mapping[str, Any]] = {"segments": None, "continuation": None, "strict": False}
"""Fields that a clip has no part in, and their neutral values."""
_OF_THE_FIRST: Final = ("continue_from",)
_OF_THE_LAST: Final = ("end_image",)


@dataclass(frozen=True)
class Wanted:
    """One clip as if it were a task of its own. `names`: its fields -> the fields of the task."""

    index: int
    params: GenerateParams
    names: Mapping[str, str]

    def name(self, field: str) -> str:
        """The task's name of a field of this clip."""
        return self.names.get(field, field)


def wanted_clips(params: GenerateParams) -> tuple[Wanted, ...]:
    """The clips of a task, in order. A task without segments is one clip."""
    segments = params.segments or (SegmentParams(),)
    return tuple(_wanted(params, segments, index) for index in range(len(segments)))


def _wanted(params: GenerateParams, segments: tuple[SegmentParams, ...], index: int) -> Wanted:
    own = {name: value for name, value in segments[index] if value is not None}
    left_out = (*(_OF_THE_FIRST if index else ()), *(_OF_THE_LAST if index < len(segments) - 1 else ()))
    values = {**_OF_THE_WHOLE, **dict.fromkeys(left_out), **own}
    clip = params.model_copy(update=values)
    named = {name: name for name in REFERENCES if getattr(clip, name) is not None}
    return Wanted(index, clip, named | {name: f"segments[{index}].{name}" for name in own})
