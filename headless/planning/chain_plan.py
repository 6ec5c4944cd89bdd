"""From parameters to every clip of a task. Pure, as `headless.plan`, which plans each clip."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

from headless.errors import BadParams
from headless.params.generate import GenerateParams
from headless.plan import make_plan
from headless.planning.chain import ChainClip, ChainPlan, frames_of_latents
from headless.planning.chain_adjustments import of_all
from headless.planning.chain_checks import (
    check_extended_size,
    check_hand_off,
    check_reroll,
    colour_lock,
    report_idle,
)
from headless.planning.chain_lengths import with_lengths
from headless.planning.ledger import Ledger, refuse_adjustments
from headless.planning.links import end_repeated, linked
from headless.planning.plan import Plan
from headless.planning.seeds import segment_seed
from headless.planning.size import Size
from headless.planning.wanted import Wanted, wanted_clips
from headless.ports import ModelDefinition
from wan2gp_patch.adjustment import Adjustment


@dataclass(frozen=True)
class _Known:
    """What every clip is planned with: the model, the task's seed, and the sizes of its inputs."""

    definition: ModelDefinition
    seed: int
    seed_chosen: bool
    sizes: Mapping[str, Size]


def make_chain(
    params: GenerateParams,
    definition: ModelDefinition,
    *,
    seed_source: Callable[[], int],
    image_sizes: Mapping[str, Size] | None = None,
) -> ChainPlan:
    """Every clip of a task, resolved as `make_plan` resolves one.

    `image_sizes` has width and height of the inputs that are known, by the task's field
    (`segments[2].end_image`, `images[0]`, `extend_from`); the size of all clips is that of the first.

    Raises:
        BadParams: a clip cannot be made so, or cannot continue the one before; or, under `strict`, something
            would have been adjusted. The message names field, value and what is legal.
    """
    ledger, sizes = Ledger(), image_sizes or {}
    wanted = with_lengths(
        params, definition, lambda count: linked(params, wanted_clips(params, count), definition), ledger
    )
    report_idle(params, wanted, ledger)
    lock = colour_lock(params, wanted, ledger)
    seed = seed_source() if params.seed is None else params.seed
    clips = _clips(params, wanted, _Known(definition, seed, params.seed is None, sizes))
    check_reroll(params, clips)
    adjustments = (*ledger.entries, *of_all(wanted, [clip.plan.adjustments for clip in clips]))
    if params.strict:
        refuse_adjustments(adjustments)
    return ChainPlan(
        clips=clips,
        references={
            name: clip.plan.references[field] for clip in clips for field, name in clip.fields.items()
        },
        seed=seed,
        seed_chosen=params.seed is None,
        colour_lock=lock,
        colour_lock_strength=params.color_lock_strength,
        loop=params.loop,
        extends=params.extend_from is not None,
        adjustments=adjustments,
    )


def _clips(params: GenerateParams, wanted: Sequence[Wanted], known: _Known) -> tuple[ChainClip, ...]:
    clips: list[ChainClip] = []
    for one in wanted:
        first = clips[0].plan if clips else None
        plan = _planned(one, known, first)
        if first is None:
            check_extended_size(params, plan, known.sizes)
        else:
            check_hand_off(one.called, plan, one.handed, clips[-1])
        clips.append(_clip(params, one, plan, clips[-1] if clips else None))
    return tuple(clips)


def _planned(wanted: Wanted, known: _Known, first: Plan | None) -> Plan:
    """The plan of one clip, in the size of the first."""
    own = wanted.params.seed if wanted.has_own("seed") else None
    seed = segment_seed(known.seed, wanted.index) if own is None else own
    clip = wanted.params.model_copy(update={"seed": None if own is None and known.seed_chosen else seed})
    if first is not None:
        clip = clip.model_copy(update={"width": first.width, "height": first.height})
    sizes = {field: known.sizes[name] for field, name in wanted.names.items() if name in known.sizes}
    try:
        plan = make_plan(
            clip, known.definition, seed_source=lambda: seed, image_sizes=sizes, handed=wanted.handed
        )
    except BadParams as error:
        message = error.message.replace("continue_from", wanted.name("continue_from"))
        raise BadParams(f"{wanted.called}: {message}" if wanted.called else message) from error
    return replace(plan, adjustments=(*wanted.noted, *plan.adjustments, *_beyond_the_end(wanted, plan)))


def _beyond_the_end(wanted: Wanted, plan: Plan) -> tuple[Adjustment, ...]:
    """With a tail, the end image is reached in frames that are cut."""
    tail = wanted.params.end_tail_latents
    if not tail or "end_image" not in plan.references:
        return ()
    past, why = frames_of_latents(tail), "end_tail_latents cuts the end of the clip off"
    return (Adjustment("end_image", "the last frame", f"{past} frames after the last", why),)


def _clip(params: GenerateParams, wanted: Wanted, plan: Plan, before: ChainClip | None) -> ChainClip:
    tail = wanted.params.end_tail_latents
    head = plan.continuation.head_drop
    cut = frames_of_latents(tail) + (end_repeated(plan.end_frame_mode) if wanted.closes else 0)
    shown = plan.segments[0].num_frames - head - cut
    return ChainClip(
        index=wanted.index,
        plan=plan,
        fields={field: wanted.name(field) for field in plan.references},
        head_frames=head,
        shown_frames=shown,
        tail_frames=cut,
        tail_latents=tail,
        first_frame=before.first_frame + before.shown_frames if before else 0,
        continues=wanted.handed,
        alternatives=(params.reroll or {}).get(wanted.index, ()),
    )
