"""A plan for programs. Inputs stand under their own names, URLs without secrets."""

from __future__ import annotations

from typing import Any, Final

from headless.media.guard import redact_url
from headless.planning.chain import ChainClip, ChainPlan
from headless.planning.loras import PlannedLora
from headless.planning.plan import Plan
from headless.planning.slots import slots

_LEFT_OUT: Final = ("continuation", "loras", "segments", "adjustments", "references")
_OF_THE_CLIP: Final = ("seed", "seed_chosen", "num_frames", "frames_out", "duration_seconds", "adjustments")
"""Values of a clip's own plan that its segment tells in another way."""


def plan_json(plan: Plan) -> dict[str, Any]:
    """The plan of one clip as JSON. `end_frame_mode` is null where there is no end image."""
    whole: dict[str, Any] = {
        name: list(value) if isinstance(value, tuple) else value
        for name, value in vars(plan).items()
        if name not in _LEFT_OUT
    }
    if "end_image" not in plan.references:
        whole["end_frame_mode"] = None
    return whole | {
        **{name: redact_url(value) for name, value in plan.references.items()},
        "continues": plan.continuation.source.value,
        "loras": [_lora_json(lora) for lora in plan.loras],
        "segments": [vars(segment).copy() for segment in plan.segments],
        "frames_out": plan.frames_out,
        "duration_seconds": round(plan.duration_seconds, 3),
        "adjustments": [entry.as_json() for entry in plan.adjustments],
    }


def chain_json(chain: ChainPlan) -> dict[str, Any]:
    """The plan of a chain as JSON: what `plan_json` says of the first clip, for all of them.

    Every segment has what is its own, and what is other than in the first.
    """
    first = plan_json(chain.first)
    for field in chain.first.references:
        first.pop(field)
    whole = first | {
        **{name: redact_url(value) for name, value in chain.references.items()},
        "seed": chain.seed,
        "seed_chosen": chain.seed_chosen,
        "color_lock": chain.colour_lock,
        "color_lock_strength": chain.colour_lock_strength,
        "loop": chain.loop,
        "frames_out": chain.frames_out,
        "duration_seconds": round(chain.duration_seconds, 3),
        "adjustments": [entry.as_json() for entry in chain.adjustments],
    }
    return whole | {"segments": [segment_json(clip, first) for clip in chain.clips]}


def segment_json(clip: ChainClip, first: dict[str, Any]) -> dict[str, Any]:
    """One segment. `first`: what `plan_json` says of the first one."""
    own = plan_json(clip.plan)
    (made,) = own.pop("segments")
    for field in (*clip.plan.references, *_OF_THE_CLIP):
        own.pop(field)
    return {
        **made,
        "index": clip.index,
        "first_frame": clip.first_frame,
        "shown_frames": clip.shown_frames,
        "head_frames": clip.head_frames,
        "tail_frames": clip.tail_frames,
        "tail_latents": clip.tail_latents,
        "prompt": clip.plan.prompt,
        "end_frame_mode": own["end_frame_mode"],
        **{name: value for name, value in own.items() if value != first[name]},
        "continues": clip.continues.value,
        "inputs": dict(clip.fields),
        "slots": [slot.as_json() for slot in slots(clip)],
        "alternatives": list(clip.alternatives),
        "adjustments": [entry.as_json() for entry in clip.plan.adjustments],
    }


def _lora_json(lora: PlannedLora) -> dict[str, Any]:
    strength = ";".join(",".join(f"{value!r}" for value in values) for values in lora.strengths)
    return {"name": redact_url(lora.name), "strength": strength, "of_model": lora.of_model}
