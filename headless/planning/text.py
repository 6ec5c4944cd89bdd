"""A plan for people, and for programs."""

from __future__ import annotations

from typing import Any

from headless.media.guard import redact_url
from headless.params.show import show
from headless.planning.loras import PlannedLora
from headless.planning.plan import Plan, SegmentPlan
from wan2gp_patch.frames import Source

_LEFT_OUT = ("continuation", "loras", "segments", "adjustments", "references")


def plan_json(plan: Plan) -> dict[str, Any]:
    """The plan as JSON, inputs under their own names, URLs without secrets.

    `end_frame_mode` is null where there is no end image.
    """
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


def plan_text(plan: Plan) -> str:
    """The plan in lines of a label and what it says."""
    rows = [
        ("model", f"{plan.model} ({plan.model_name})"),
        ("prompt", show(plan.prompt)),
        *((name.replace("_", " "), redact_url(value)) for name, value in plan.references.items()),
        ("size", f"{plan.width} x {plan.height} pixels, images {plan.image_fit}"),
        ("video", f"{plan.frames_out} frames, {plan.duration_seconds:.2f} s at {plan.fps} frames per second"),
        ("steps", _steps(plan)),
        ("guidance", " then ".join(f"{value:g}" for value in plan.phase_guidance)),
        ("seed", f"{plan.seed}{' (chosen)' if plan.seed_chosen else ''}"),
        ("svi2pro", "yes" if plan.svi2pro else "no"),
        ("end frame mode", plan.end_frame_mode if "end_image" in plan.references else "none"),
        *(("lora", _lora(lora)) for lora in plan.loras),
        *(("segment", _segment(plan, segment)) for segment in plan.segments),
        *(
            ("adjusted", f"{entry.field}: {show(entry.requested)} becomes {show(entry.used)}, {entry.why}")
            for entry in plan.adjustments
        ),
    ]
    width = max(len(label) for label, _ in rows)
    return "\n".join(f"{label:<{width}}  {value}" for label, value in rows)


def _steps(plan: Plan) -> str:
    split = (
        f" ({' + '.join(map(str, plan.phase_steps))})"
        if plan.phase_steps and len(plan.phase_steps) > 1
        else ""
    )
    return f"{plan.steps}{split}, {plan.solver}, flow shift {plan.flow_shift:g}"


def _lora_json(lora: PlannedLora) -> dict[str, Any]:
    strength = ";".join(",".join(f"{value!r}" for value in values) for values in lora.strengths)
    return {"name": redact_url(lora.name), "strength": strength, "of_model": lora.of_model}


def _lora(lora: PlannedLora) -> str:
    strengths = "; ".join(", ".join(f"{value:g}" for value in values) for values in lora.strengths)
    return f"{redact_url(lora.name)} at {strengths}{' (of the model)' if lora.of_model else ''}"


def _segment(plan: Plan, segment: SegmentPlan) -> str:
    made = (
        f"{segment.index + 1}: {segment.num_frames} frames in {segment.latents} latents, seed {segment.seed}"
    )
    if plan.continuation.source is Source.NOTHING:
        return made
    dropped = segment.num_frames - segment.new_frames
    return f"{made}, continues {plan.continuation.source.value.replace('_', ' ')}, first {dropped} dropped"
