"""What a task wants of each of its clips: its segments, each with the task's values where it has no own."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, Final

from headless.params.chain import SegmentParams
from headless.params.chain_rules import image_gaps
from headless.params.generate import REFERENCES, GenerateParams
from wan2gp_patch.adjustment import Adjustment
from wan2gp_patch.frames import Source

_OF_THE_WHOLE: Final[Mapping[str, Any]] = {
    "segments": None,
    "images": None,
    "prompts": None,
    "continuation": None,
    "extend_from": None,
    "color_lock": "off",
    "color_lock_strength": 1.0,
    "loop": False,
    "reroll": None,
    "strict": False,
}
"""Fields in which a clip has no part, and their neutral values."""
_OF_THE_FIRST: Final = ("continue_from",)
_OF_THE_LAST: Final = ("end_image",)


@dataclass(frozen=True)
class Wanted:
    """One clip as if it were a task of its own. `names`: its fields -> the fields of the task.

    Its `seconds`, where it has some, is its length in the video. `called` is how messages call the clip, and
    `handed` what of the clip before it it is made from. `closes`: its last frame is the first of the video.
    """

    index: int
    params: GenerateParams
    names: Mapping[str, str]
    called: str = ""
    handed: Source = Source.NOTHING
    closes: bool = False
    noted: tuple[Adjustment, ...] = ()
    """What was adjusted before the clip was planned, by its fields."""

    def name(self, field: str) -> str:
        """The task's name of a field of this clip."""
        return self.names.get(field, field)

    def giving(self, name: str | None = None, **values: Any) -> Wanted:
        """The same with other values; `name` is the task's field that says them, if one does."""
        names = {field: known for field, known in self.names.items() if values.get(field, known) is not None}
        if name is not None:
            names |= dict.fromkeys(values, name)
        return replace(self, params=self.params.model_copy(update=values), names=names)

    def has_own(self, field: str) -> bool:
        """Whether the clip has a value of its own, and not the task's for all."""
        return self.name(field) != field


def wanted_clips(params: GenerateParams, count: int) -> tuple[Wanted, ...]:
    """The clips of a task, in order. `count`: how many clips a task without segments and images has."""
    if params.images is not None:
        return _between_images(params, params.images)
    segments = params.segments or (SegmentParams(),) * count
    names = [
        {name: f"segments[{index}].{name}" for name, value in segment if value is not None}
        for index, segment in enumerate(segments)
    ]
    return _all(params, segments, names, "segments[{0}]" if params.segments or count > 1 else "")


def _between_images(params: GenerateParams, images: tuple[str, ...]) -> tuple[Wanted, ...]:
    segments: list[SegmentParams] = []
    names: list[dict[str, str]] = []
    for index in range(image_gaps(images, loop=params.loop)):
        end = (index + 1) % len(images)
        own = None if params.prompts is None else params.prompts[index]
        segments.append(
            SegmentParams.model_construct(prompt=own, start_image=images[index], end_image=images[end])
        )
        named = {"start_image": f"images[{index}]", "end_image": f"images[{end}]"}
        names.append(named | ({} if own is None else {"prompt": f"prompts[{index}]"}))
    return _all(params, tuple(segments), names, "the segment from images[{0}]")


def _all(
    params: GenerateParams,
    segments: tuple[SegmentParams, ...],
    names: list[dict[str, str]],
    called: str,
) -> tuple[Wanted, ...]:
    last = len(segments) - 1
    found: list[Wanted] = []
    for index, segment in enumerate(segments):
        left_out = (*(_OF_THE_FIRST if index else ()), *(_OF_THE_LAST if index < last else ()))
        own = {name: getattr(segment, name) for name in names[index]}
        whole = dict(_OF_THE_WHOLE) | ({"seconds": None} if params.seconds is not None else {})
        clip = params.model_copy(update={**whole, **dict.fromkeys(left_out), **own})
        if index == 0 and params.extend_from is not None:
            clip = clip.model_copy(update={"continue_from": params.extend_from})
            names[0]["continue_from"] = "extend_from"
        named = {name: name for name in REFERENCES if getattr(clip, name) is not None}
        found.append(Wanted(index, clip, named | names[index], called.format(index)))
    return tuple(found)
