"""A plan for people: lines of a label and what it says."""

from __future__ import annotations

from headless.media.guard import redact_url
from headless.params.show import show
from headless.planning.chain import ChainClip, ChainPlan
from headless.planning.loras import PlannedLora
from headless.planning.plan import Plan
from headless.planning.slots import Slot, clip_before, slots
from wan2gp_patch.frames import Source

Row = tuple[str, str]


def chain_text(chain: ChainPlan) -> str:
    """The plan of a task. What all segments have in common comes first, then each by itself."""
    plan = chain.first
    one_prompt = len({clip.plan.prompt for clip in chain.clips}) == 1
    rows = [
        ("model", f"{plan.model} ({plan.model_name})"),
        *([("prompt", show(plan.prompt))] if one_prompt else []),
        *((_label(name), redact_url(value)) for name, value in chain.references.items()),
        ("size", f"{plan.width} x {plan.height} pixels, images {plan.image_fit}"),
        ("video", _video(chain)),
        ("steps", _steps(plan)),
        ("guidance", " then ".join(f"{value:g}" for value in plan.phase_guidance)),
        ("seed", f"{chain.seed}{' (chosen)' if chain.seed_chosen else ''}"),
        ("svi2pro", "yes" if plan.svi2pro else "no"),
        ("end frame mode", _modes(chain)),
        *_loras(plan),
        *_colour_lock(chain),
        *(row for clip in chain.clips for row in _segment(clip, plan, one_prompt)),
        *(
            ("adjusted", f"{entry.field}: {show(entry.requested)} becomes {show(entry.used)}, {entry.why}")
            for entry in chain.adjustments
        ),
    ]
    width = max(len(label) for label, _ in rows)
    return "\n".join(f"{label:<{width}}  {value}" for label, value in rows)


def _label(field: str) -> str:
    return field if "[" in field else field.replace("_", " ")


def _video(chain: ChainPlan) -> str:
    length = f"{chain.frames_out} frames, {chain.duration_seconds:.2f} s"
    whole = f"{length} at {chain.first.fps} frames per second"
    return f"{whole}{', after the earlier video' * chain.extends}{', in a loop' * chain.loop}"


def _modes(chain: ChainPlan) -> str:
    found = dict.fromkeys(clip.plan.end_frame_mode for clip in chain.clips if "end_image" in clip.fields)
    return ", ".join(found) or "none"


def _colour_lock(chain: ChainPlan) -> list[Row]:
    if chain.colour_lock == "off":
        return []
    return [("colour lock", f"{chain.colour_lock}, strength {chain.colour_lock_strength:g}")]


def _steps(plan: Plan) -> str:
    split = (
        f" ({' + '.join(map(str, plan.phase_steps))})"
        if plan.phase_steps and len(plan.phase_steps) > 1
        else ""
    )
    return f"{plan.steps}{split}, {plan.solver}, flow shift {plan.flow_shift:g}"


def _loras(plan: Plan) -> list[Row]:
    return [("lora", _lora(lora)) for lora in plan.loras]


def _lora(lora: PlannedLora) -> str:
    strengths = "; ".join(", ".join(f"{value:g}" for value in values) for values in lora.strengths)
    return f"{redact_url(lora.name)} at {strengths}{' (of the model)' if lora.of_model else ''}"


def _segment(clip: ChainClip, first: Plan, one_prompt: bool) -> list[Row]:
    made = clip.plan.segments[0]
    last = clip.first_frame + clip.shown_frames - 1
    rows = [
        f"frames {clip.first_frame} to {last}, of {made.num_frames} made in {made.latents} latents, "
        f"seed {made.seed}",
        *([] if one_prompt else [f"prompt {show(clip.plan.prompt)}"]),
        *_made_from(clip),
        *(_placed(slot, made.num_frames) for slot in slots(clip)),
    ]
    if clip.tail_frames:
        rows.append(f"the last {clip.tail_frames} cut{_tail(clip)}")
    if clip.plan.svi2pro != first.svi2pro:
        rows.append(f"svi2pro {'yes' if clip.plan.svi2pro else 'no'}")
    if clip.plan.loras != first.loras:
        rows += [f"lora {_lora(lora)}" for lora in clip.plan.loras] or ["no lora"]
    if clip.alternatives:
        rows.append(f"also with seed {', '.join(map(str, clip.alternatives))}")
    return [(f"segment {clip.index}" if row is rows[0] else "", row) for row in rows]


def _made_from(clip: ChainClip) -> list[str]:
    handed = {
        Source.LATENTS: "the latents",
        Source.PIXELS: "the last frames",
        Source.LAST_FRAME: "the last frame",
    }
    if clip.continues is Source.NOTHING:
        return []
    before = clip_before(clip)
    return [f"goes on from {handed[clip.continues]} of {before}, the first {clip.head_frames} cut"]


def _placed(slot: Slot, frames: int) -> str:
    first, last = slot.latents
    latents = f"latent {first}" if first == last else f"latents {first} to {last}"
    hint = "" if slot.known else ", as a hint"
    what = f"{slot.what} as anchor" if slot.role == "anchor" else slot.what
    if slot.first == frames:
        return f"{what} after the last frame, {latents}{hint}"
    at = f"frame {slot.first}" if slot.first == slot.last else f"frames {slot.first} to {slot.last}"
    return f"{what} at {at}, {latents}{hint}"


def _tail(clip: ChainClip) -> str:
    if not clip.tail_latents:
        return ", which is the first of the video"
    return f", {clip.tail_latents} {'latent' if clip.tail_latents == 1 else 'latents'}"
