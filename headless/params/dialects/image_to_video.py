"""`i2v`, `i2v_22` and `wan_2_2_i2v`: one clip, its fields in the task itself or in `orchestrator_details`."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

from headless.params.dialects.common_fields import (
    DETAILS,
    IMAGES,
    require_kind,
    require_start,
    take_common,
    take_image,
    take_model,
    take_prompt,
    take_seed,
)
from headless.params.dialects.lora_lists import take_loras
from headless.params.dialects.payload import Payload
from headless.params.dialects.phases import take_phases
from headless.params.dialects.svi import Link, read_link, take_frames, take_predecessor, take_svi
from headless.params.dialects.translation import Draft, Translation
from headless.params.dialects.travel_orchestrator import translate_travel_orchestrator
from headless.task import Continued, Json

PICTURES: Final[Mapping[str, tuple[str, ...]]] = MappingProxyType(
    {
        "start_image": ("image_start", "start_image_url", "start_image", "image_url", "image"),
        "end_image": ("image_end", "end_image_url", "end_image", "last_image"),
        "anchor_image": ("image_refs", "anchor_image"),
    }
)
VIDEOS: Final = ("continue_from", "video_source")


def translate_i2v(params: Mapping[str, Json], continued: Continued | None) -> Translation:
    """Wan 2.1 unless the task names a model."""
    return _translated(params, continued, "i2v_480p")


def translate_i2v_22(params: Mapping[str, Json], continued: Continued | None) -> Translation:
    """Wan 2.2 unless the task names a model."""
    return _translated(params, continued, "i2v_2_2")


def translate_wan_2_2_i2v(params: Mapping[str, Json], continued: Continued | None) -> Translation:
    """The same as `i2v_22`; or a travel, where a frontend has put one into `orchestrator_details`."""
    details = params.get(DETAILS[0])
    if isinstance(details, dict) and details.get(IMAGES):
        return translate_travel_orchestrator(params, continued)
    return _translated(params, continued, "i2v_2_2")


def _translated(params: Mapping[str, Json], continued: Continued | None, model: str) -> Translation:
    payload, draft = Payload(params), Draft()
    payload.nested(*DETAILS)
    take_model(draft, payload, model)
    take_common(draft, payload)
    if "steps" not in draft.fields:
        draft.take("steps", payload.first("steps"))
    _take_texts(draft, payload)
    for field, names in PICTURES.items():
        take_image(draft, payload, field, payload.first(*names))
    take_phases(draft, payload)
    link = read_link(draft, payload)
    take_loras(draft, payload, svi=link.svi)
    take_seed(draft, payload, "seed", "seed_to_use")
    _take_predecessor(draft, payload, link, continued)
    return draft.done(payload)


def _take_texts(draft: Draft, payload: Payload) -> None:
    take_prompt(draft, payload.first("enhanced_prompt") or payload.first("prompt", "base_prompt"), "prompt")
    draft.take("negative_prompt", payload.first("negative_prompt"))


def _take_predecessor(draft: Draft, payload: Payload, link: Link, continued: Continued | None) -> None:
    """A video that is named is continued also without SVI."""
    if link.svi:
        take_svi(draft, payload)
    kind = take_predecessor(draft, payload, link, continued, missing="")
    if kind is None:
        draft.take("continue_from", payload.first(*VIDEOS))
    take_frames(draft, payload.first("video_length", "num_frames"), link, kind)
    require_start(draft, payload, "image_start", "the image that the clip begins with")
    require_kind(draft, payload)
