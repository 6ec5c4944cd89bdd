"""Fields that mean the same in every one of these task types, and under which names they are sent."""

from __future__ import annotations

import re
from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

from headless.params.dialects.payload import Payload, Sent
from headless.params.dialects.translation import Draft
from headless.task import Json

NAMES: Final[Mapping[str, tuple[str, ...]]] = MappingProxyType(
    {
        "fps": ("fps_helpers", "fps"),
        "steps": ("num_inference_steps",),
        "guidance_scale": ("guidance_scale",),
        "guidance_scale_2": ("guidance2_scale", "guidance_scale_2"),
        "flow_shift": ("flow_shift",),
        "motion_latent_count": ("motion_latent_count",),
        "end_frame_mode": ("end_frame_mode",),
        "image_fit": ("image_fit",),
        "output_checks": ("output_checks",),
    }
)
"""Our field -> the names that are looked for, the first that is given."""
MODEL_NAMES: Final[Mapping[str, str]] = MappingProxyType({"i2v_14B": "i2v_480p"})
"""The same weights under another name -> the id of their model definition here."""
DETAILS: Final = ("orchestrator_details", "full_orchestrator_payload")
IMAGES: Final = "input_image_paths_resolved"
KINDS: Final = ("i2v", "vace")
"""What `model_type` says where it names no model: how the clip is conditioned."""
BLANK_PROMPT: Final = "natural motion"
"""Stands for a prompt that says nothing, which these frontends send and ours refuses."""
_SIZE: Final = re.compile(r"(\d{1,6})\s*[xX×*]\s*(\d{1,6})", re.ASCII)
_RANDOM: Final = -1


def take_common(draft: Draft, payload: Payload) -> None:
    """What `NAMES` lists, and the size."""
    for field, names in NAMES.items():
        draft.take(field, payload.first(*names))
    _take_size(draft, payload)


def take_model(draft: Draft, payload: Payload, default: str | None = None) -> None:
    """Which model; `default` where the task type says it."""
    draft.expect("model", "model_name")
    sent = payload.first("model", "model_name") or _model_type(payload)
    if sent is not None:
        known = MODEL_NAMES.get(sent.value, sent.value) if isinstance(sent.value, str) else sent.value
        draft.put("model", known, sent.name)
    elif default is not None:
        draft.put("model", default, "model_name")


def _model_type(payload: Payload) -> Sent | None:
    """A model's id; some frontends send the kind of conditioning under the same name."""
    sent = payload.first("model_type")
    return None if sent is None or sent.value in KINDS else sent


def require_kind(draft: Draft, payload: Payload) -> None:
    """Clips are made from images here; a task for the other kind is not run as this one."""
    sent = payload.first("model_type")
    if sent is not None and sent.value == "vace":
        payload.wrong(sent, '"i2v", the only kind that this worker makes')
    elif sent is not None and sent.value not in ("i2v", draft.fields.get("model")):
        payload.ignore(sent.name, sent.value)


def require_start(draft: Draft, payload: Payload, name: str, legal: str) -> None:
    """A clip between images that has none would be made from noise, and nobody asked for that."""
    if not draft.fields.keys() & {"start_image", "anchor_image", "continue_from"}:
        payload.wrong(Sent(name, None), legal)


def take_seed(draft: Draft, payload: Payload, *names: str) -> None:
    """A seed of -1 asks for any."""
    sent = payload.first(*names)
    if sent is not None and sent.value == _RANDOM:
        draft.adjusted(sent.name, sent.value, None, "any seed will do; the one used is in the result")
    else:
        draft.take("seed", sent)
    payload.skip("random_seed")


def take_prompt(draft: Draft, sent: Sent | None, name: str) -> None:
    """A prompt, also where there is none. `name`: the field in which it would have been."""
    if sent is not None:
        draft.take("prompt", sent)
        return
    draft.put("prompt", BLANK_PROMPT, name)
    draft.adjusted(name, "", BLANK_PROMPT, "a prompt has at least one visible character")


def take_image(draft: Draft, payload: Payload, field: str, sent: Sent | None) -> None:
    """An image by its reference, or a list of one."""
    if sent is None:
        return
    value = sent.value
    if isinstance(value, list):
        if len(value) != 1:
            payload.wrong(sent, "one image, as a reference or a list of one")
            return
        sent = Sent(f"{sent.name}[0]", value[0])
    draft.take(field, sent)


def _take_size(draft: Draft, payload: Payload) -> None:
    sent = payload.first("resolution", "parsed_resolution_wh")
    sides = {name: payload.first(name) for name in ("width", "height")}
    if sent is None:
        for name, side in sides.items():
            draft.take(name, side)
        return
    size = _size(sent.value)
    if size is None:
        payload.wrong(sent, '"WIDTHxHEIGHT", such as "832x480", or [832, 480]')
        return
    for name, value in zip(("width", "height"), size, strict=True):
        draft.put(name, value, sent.name)


def _size(value: Json) -> tuple[Json, Json] | None:
    if isinstance(value, str) and (match := _SIZE.fullmatch(value.strip())):
        return int(match[1]), int(match[2])
    if isinstance(value, list) and len(value) == 2:
        return value[0], value[1]
    return None
