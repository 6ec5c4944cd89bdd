"""The parts of a task that is a chain of clips: its segments, its images, seeds to try again."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Final

from pydantic import BaseModel, BeforeValidator, Field, model_validator
from pydantic_core import PydanticCustomError

from headless.params.aliases import ALIASES
from headless.params.fields import (
    MAX_SEED,
    STRICT,
    Loras,
    Media,
    Mode,
    NegativePrompt,
    NumFrames,
    Prompt,
    Seed,
)
from headless.params.loras import as_list
from headless.params.references import FORMS, PREDICATE
from headless.params.show import show
from headless.params.tuples import tuple_of_at_most

MAX_SEGMENTS: Final = 256
MAX_IMAGES: Final = MAX_SEGMENTS + 1
MAX_SECONDS: Final = 1200.0
MAX_ALTERNATIVES: Final = 16
SEGMENT_REFERENCES: Final = ("start_image", "end_image", "anchor_image")
SEGMENTS_FORMS: Final = f'1 to {MAX_SEGMENTS} objects such as {{"prompt": ..., "seconds": ...}}'
REROLL_FORMS: Final = (
    f'an object such as {{"2": [11, 12]}}: a segment\'s number, counted from 0, and 1 to {MAX_ALTERNATIVES} '
    "different seeds"
)

Seconds = Annotated[
    float,
    Field(ge=0.1, le=MAX_SECONDS, json_schema_extra={"x-legal": f"a number from 0.1 to {MAX_SECONDS:g}"}),
]


class SegmentParams(BaseModel):
    """One segment. What it does not say, the task says for all."""

    model_config = STRICT

    prompt: Prompt | None = None
    """What happens in this segment."""

    negative_prompt: NegativePrompt | None = None
    """What to keep out of it."""

    seconds: Seconds | None = None
    """How long it is in the video; the nearest possible length, which is reported."""

    num_frames: NumFrames | None = None
    """Frames of its clip, those included that repeat the end of the segment before."""

    start_image: Media | None = None
    """Its first frame. A later segment begins where the one before ends: there it is that one's end image."""

    end_image: Media | None = None
    """Its last frame."""

    anchor_image: Media | None = None
    """How things look, for SVI."""

    seed: Seed | None = None
    """By default derived from the task's seed and the segment's number."""

    loras: Loras | None = None
    """LoRAs beside those of the model definition, in place of the task's."""

    svi2pro: bool | None = None
    """Condition as SVI 2 Pro was trained."""

    end_frame_mode: Mode | None = None
    """How the model is told about the end image."""

    @model_validator(mode="before")
    @classmethod
    def _other_names(cls, value: object) -> object:
        """Names that existing frontends use for a field of a task are understood here as well."""
        if not isinstance(value, Mapping):
            return value
        found: dict[Any, Any] = {}
        for name, given in value.items():
            fields = ALIASES.get(name, ()) if isinstance(name, str) else ()
            field = fields[0] if len(fields) == 1 and fields[0] in _RENAMED else name
            if given is not None and found.setdefault(field, given) != given:
                raise PydanticCustomError(
                    PREDICATE, "names {field} twice, with two values: send one.", {"field": field}
                )
        return found | {"loras": as_list(found["loras"])} if "loras" in found else found

    @model_validator(mode="after")
    def _one_length(self) -> SegmentParams:
        if self.seconds is not None and self.num_frames is not None:
            raise PydanticCustomError(PREDICATE, "has seconds and num_frames: give one of them.")
        return self

    def references(self) -> dict[str, str]:
        """Field -> reference, of every file that the segment names."""
        return {name: value for name in SEGMENT_REFERENCES if (value := getattr(self, name)) is not None}


_RENAMED: Final = frozenset({"prompt", "start_image", "end_image", "num_frames", "seed"})
"""Fields whose other names may stand in a segment; an alias that makes several fields may not."""


def _reroll(value: object) -> object:
    """Keys of JSON are text; segments are numbers."""
    if not isinstance(value, dict):
        return value
    found: dict[int, tuple[int, ...]] = {}
    for key, seeds in value.items():
        if not (isinstance(key, str) and key.isascii() and key.isdigit() and len(key) <= 9):
            raise _bad_reroll(f"names the segment {show(key)}")
        if not isinstance(seeds, list) or not 1 <= len(seeds) <= MAX_ALTERNATIVES:
            raise _bad_reroll(f"gives segment {key} {show(seeds)}")
        for seed in seeds:
            if isinstance(seed, bool) or not isinstance(seed, int) or not 0 <= seed <= MAX_SEED:
                raise _bad_reroll(f"gives segment {key} the seed {show(seed)}")
        if int(key) in found or len(set(seeds)) < len(seeds):
            raise _bad_reroll(f"names segment {key}, or a seed of it, twice")
        found[int(key)] = tuple(seeds)
    return found


def _bad_reroll(why: str) -> PydanticCustomError:
    return PydanticCustomError(PREDICATE, "{why}: give {legal}.", {"why": why, "legal": REROLL_FORMS})


Segments = Annotated[
    tuple[SegmentParams, ...],
    Field(max_length=MAX_SEGMENTS, json_schema_extra={"minItems": 1, "x-legal": SEGMENTS_FORMS}),
    tuple_of_at_most(MAX_SEGMENTS, 1),
]
Images = Annotated[
    tuple[Media, ...],
    Field(
        max_length=MAX_IMAGES,
        json_schema_extra={"minItems": 2, "x-legal": f"2 to {MAX_IMAGES} images, each {FORMS}"},
    ),
    tuple_of_at_most(MAX_IMAGES, 2),
]
Prompts = Annotated[
    tuple[Prompt, ...],
    Field(
        max_length=MAX_SEGMENTS,
        json_schema_extra={
            "minItems": 1,
            "x-legal": f"1 to {MAX_SEGMENTS} prompts, one from each image to the next",
        },
    ),
    tuple_of_at_most(MAX_SEGMENTS, 1),
]
Reroll = Annotated[
    dict[int, tuple[Seed, ...]],
    Field(min_length=1, max_length=MAX_SEGMENTS, json_schema_extra={"x-legal": REROLL_FORMS}),
    BeforeValidator(_reroll),
]
