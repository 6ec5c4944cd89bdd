"""`phase_config` as these frontends send it: with notes of their own, and repeated in flat fields."""

from __future__ import annotations

from collections.abc import Container
from typing import Final

from headless.params.dialects.payload import Payload, Sent
from headless.params.dialects.translation import Draft
from headless.params.phase_config import PhaseConfig, PhaseLora, PhaseStep, expand
from headless.task import Json

REPEATED: Final = (
    "sample_solver",
    "guidance_phases",
    "guidance3_scale",
    "switch_threshold",
    "switch_threshold2",
    "model_switch_phase",
)
"""Flat fields that repeat a phase_config; without one, nothing here acts on them."""


def take_phases(draft: Draft, payload: Payload) -> bool:
    """`phase_config`, which wins over the flat fields. Whether there is one."""
    sent = payload.first("phase_config")
    if sent is None:
        return False
    payload.skip(*REPEATED)
    for field, value in expand(cleaned(draft, payload, sent)).items():
        before = draft.fields.get(field)
        if before is not None:
            draft.adjusted(draft.sources[draft.prefix + field], before, value, f"{sent.name} says it")
        draft.put(field, value, sent.name)
    return True


def cleaned(draft: Draft, payload: Payload, sent: Sent) -> Json:
    """The same without what only the frontend knows; as it is where it is no phase_config at all."""
    config, phases = sent.value, None
    if isinstance(config, dict):
        phases = config.get("phases")
    if not isinstance(config, dict) or not isinstance(phases, list):
        return config
    kept = _known(payload, config, PhaseConfig.model_fields, sent.name)
    kept["phases"] = [
        _phase(payload, phase, f"{sent.name}.phases[{index}]") for index, phase in enumerate(phases)
    ]
    if kept.get("sample_solver") == "":
        kept["sample_solver"] = None
    steps = kept.get("steps_per_phase")
    if isinstance(steps, list) and len(steps) == len(phases) != kept.get("num_phases"):
        why = "phases and steps_per_phase have so many entries"
        draft.adjusted(f"{sent.name}.num_phases", kept.get("num_phases"), len(phases), why)
        kept["num_phases"] = len(phases)
    return kept


def _phase(payload: Payload, phase: Json, name: str) -> Json:
    if not isinstance(phase, dict):
        return phase
    kept = _known(payload, phase, PhaseStep.model_fields, name)
    loras = kept.get("loras")
    if isinstance(loras, list):
        kept["loras"] = [
            _known(payload, lora, PhaseLora.model_fields, f"{name}.loras[{index}]")
            if isinstance(lora, dict)
            else lora
            for index, lora in enumerate(loras)
            if not _empty_row(lora)
        ]
    elif loras is None:
        kept.pop("loras", None)
    return kept


def _empty_row(lora: Json) -> bool:
    """A row of the frontend's form that nobody filled in."""
    url = lora.get("url") if isinstance(lora, dict) else lora
    return url is None or (isinstance(url, str) and not url.strip())


def _known(payload: Payload, value: dict[str, Json], fields: Container[str], name: str) -> dict[str, Json]:
    """The fields that a phase_config has; the others are listed as ignored."""
    for field in value:
        if field not in fields:
            payload.ignore(f"{name}.{field}", value[field])
    return {field: entry for field, entry in value.items() if field in fields}
