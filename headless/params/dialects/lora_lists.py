"""LoRAs in the many forms in which these frontends list them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from types import MappingProxyType
from typing import Final

from headless.params.dialects.payload import Payload, Sent
from headless.params.dialects.translation import Draft
from headless.task import Json
from models.lora_files import BadLora, UnsafeLora, lora_file_name

_LIGHTNING: Final = (
    "https://huggingface.co/Comfy-Org/Wan_2.2_ComfyUI_Repackaged/resolve/main/split_files/loras/"
    "wan2.2_i2v_lightx2v_4steps_lora_v1_{}_noise.safetensors"
)
_PAIR: Final = (_LIGHTNING.format("high"), _LIGHTNING.format("low"))
DISTILLED: Final[Mapping[str, tuple[str, ...]]] = MappingProxyType(
    {"wan_2_2_i2v_lightning_baseline_2_2_2": _PAIR, "wan_2_2_i2v_lightning_svi_3_3": _PAIR}
)
"""Models that bring LoRAs which a phase_config names, too, where it wants them."""
PARALLEL: Final = (("activated_loras", "loras_multipliers"), ("lora_names", "lora_multipliers"))
"""Lists of names, and of strengths beside them."""
TOGETHER: Final = ("additional_loras", "loras")
"""`{name: strength}`, or a list of objects."""
_NAMES: Final = ("path", "url", "name", "lora")
_STRENGTHS: Final = ("strength", "multiplier", "scale")
_FORMS: Final = '{url: strength}, or a list of {"path": ..., "strength": ...}'


def take_loras(draft: Draft, payload: Payload, *, svi: bool) -> None:
    """LoRAs of the segment; else those of phase_config; else the first of the other lists.

    `svi`: the distillation LoRAs act together with those of SVI, whatever phase_config says.
    """
    own, others = listed(payload, payload.first("segment_loras")), _others(payload)
    if own is not None:
        _put(draft, own)
    elif "loras" in draft.fields:
        _report_others(draft, others)
    elif others:
        _put(draft, others[0])
    if "phase_config" in draft.fields and not svi:
        _switch_off(draft)


def _switch_off(draft: Draft) -> None:
    """With a phase_config, these frontends mean its LoRAs alone, and no more those of the model."""
    model, given = draft.fields.get("model"), draft.fields.get("loras", [])
    own = DISTILLED.get(model, ()) if isinstance(model, str) else ()
    idle = [url for url in own if lora_file_name(url) not in files_of(given)]
    if not idle:
        return
    name = draft.sources["phase_config"]
    draft.add_loras([{"name": url, "strength": 0.0} for url in idle], name)
    draft.adjusted("model", f"{model} with its own LoRAs", "without", f"{name} says which LoRAs act")


def listed(payload: Payload, sent: Sent | None) -> Sent | None:
    """Any of the forms as a list of `{name, strength}`."""
    if sent is None:
        return None
    value = sent.value
    if isinstance(value, dict):
        return Sent(sent.name, [{"name": name, "strength": strength} for name, strength in value.items()])
    if not isinstance(value, list):
        payload.wrong(sent, _FORMS)
        return None
    entries = [_entry(payload, Sent(f"{sent.name}[{place}]", entry)) for place, entry in enumerate(value)]
    return Sent(sent.name, [entry for entry in entries if entry is not None])


def _others(payload: Payload) -> list[Sent]:
    """Every list beside phase_config, the one that wins first."""
    found = [_beside(payload, names, strengths) for names, strengths in PARALLEL]
    found += [listed(payload, payload.first(name)) for name in TOGETHER]
    return [sent for sent in found if sent is not None and sent.value]


def _beside(payload: Payload, names: str, strengths: str) -> Sent | None:
    """A list of names with a list, or a text, of strengths beside it; none means 1."""
    sent, beside = payload.first(names), payload.first(strengths)
    if sent is None:
        return listed(payload, beside) if beside and _are_objects(beside.value) else None
    if not isinstance(sent.value, list):
        payload.wrong(sent, "a list of LoRAs")
        return None
    given = beside.value if beside else []
    values = given.split() if isinstance(given, str) else given
    if not isinstance(values, list):
        payload.wrong(beside or sent, "a list of strengths, or a text with spaces between them")
        return None
    by_name = _by_name(values)
    entries: list[Json] = []
    for place, name in enumerate(sent.value):
        strength = values[place] if place < len(values) and not by_name else by_name.get(str(name), 1.0)
        entries.append({"name": name, "strength": strength})
    return Sent(sent.name, entries)


def _are_objects(value: Json) -> bool:
    return isinstance(value, list) and all(isinstance(entry, dict) for entry in value)


def _by_name(values: Iterable[Json]) -> dict[str, Json]:
    """Strengths that name their LoRA themselves."""
    objects = [value for value in values if isinstance(value, dict)]
    return {str(value.get("url")): value.get("multiplier", 1.0) for value in objects}


def _entry(payload: Payload, sent: Sent) -> Json:
    """One LoRA of a list; nothing for a row that nobody filled in."""
    value = sent.value
    if isinstance(value, str):
        return {"name": value}
    if not isinstance(value, dict):
        payload.wrong(sent, '{"path": ..., "strength": ...}')
        return None
    name = next((value[key] for key in _NAMES if value.get(key)), None)
    if name is None:
        return None
    strength = next((value[key] for key in _STRENGTHS if value.get(key) is not None), 1.0)
    return {"name": name, "strength": strength}


def _put(draft: Draft, sent: Sent) -> None:
    draft.put("loras", sent.value, sent.name)


def _report_others(draft: Draft, others: list[Sent]) -> None:
    """Frontends repeat the LoRAs of phase_config elsewhere; one that is only there does not act."""
    acting = files_of(draft.fields["loras"])
    for sent in others:
        left_out = sorted(files_of(sent.value) - acting)
        if left_out:
            why = f"{draft.sources[draft.prefix + 'loras']} says which LoRAs act"
            draft.adjusted(sent.name, ", ".join(left_out), None, why)


def files_of(loras: Json) -> set[str]:
    """File names: the same LoRA may be sent under several addresses."""
    found = set()
    for lora in loras if isinstance(loras, list) else ():
        name = str(lora.get("name")) if isinstance(lora, dict) else str(lora)
        try:
            found.add(lora_file_name(name))
        except (BadLora, UnsafeLora):
            found.add("an unreadable name")
    return found
