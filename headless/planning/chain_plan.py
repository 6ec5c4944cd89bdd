"""From parameters to every clip of a task. Pure, as `headless.plan`, which plans each clip."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from headless.params.generate import GenerateParams
from headless.plan import Plan, make_plan
from headless.planning.chain import ChainClip, ChainPlan, frames_of_latents
from headless.planning.images import handed_by, svi2pro_of
from headless.planning.ledger import refuse_adjustments
from headless.planning.seeds import segment_seed
from headless.planning.size import Size
from headless.planning.wanted import Wanted, wanted_clips
from headless.ports import ModelDefinition
from wan2gp_patch.frames import Source


def make_chain(
    params: GenerateParams,
    definition: ModelDefinition,
    *,
    seed_source: Callable[[], int],
    image_sizes: Mapping[str, Size] | None = None,
) -> ChainPlan:
    """Every clip of a task, resolved as `make_plan` resolves one.

    `image_sizes` has width and height of the inputs that are known, by the task's field
    (`segments[2].end_image`); the size of all clips is that of the first.

    Raises:
        BadParams: a clip cannot be made so, or cannot continue the one before; or, under `strict`, something
            would have been adjusted. The message names field, value and what is legal.
    """
    seed = seed_source() if params.seed is None else params.seed
    clips: list[ChainClip] = []
    for wanted in wanted_clips(params):
        plan, handed = _planned(wanted, params, definition, seed, image_sizes or {}, clips)
        clips.append(_clip(wanted, plan, handed, clips))
    adjustments = tuple(entry for clip in clips for entry in clip.plan.adjustments)
    if params.strict:
        refuse_adjustments(adjustments)
    references = {name: clip.plan.references[field] for clip in clips for field, name in clip.fields.items()}
    return ChainPlan(tuple(clips), references, seed, params.seed is None, adjustments=adjustments)


def _planned(
    wanted: Wanted,
    params: GenerateParams,
    definition: ModelDefinition,
    seed: int,
    sizes: Mapping[str, Size],
    before: list[ChainClip],
) -> tuple[Plan, Source]:
    own = wanted.params.seed if "seed" in wanted.names else None
    chosen = segment_seed(seed, wanted.index) if own is None else own
    clip = wanted.params.model_copy(update={"seed": None if own is None and params.seed is None else chosen})
    handed = _handed(params, clip, definition) if before else handed_by(clip.continue_from)
    if before:
        first = before[0].plan
        clip = clip.model_copy(update={"width": first.width, "height": first.height})
    known = {field: sizes[name] for field, name in wanted.names.items() if name in sizes}
    plan = make_plan(clip, definition, seed_source=lambda: chosen, image_sizes=known, handed=handed)
    return plan, handed


def _handed(params: GenerateParams, clip: GenerateParams, definition: ModelDefinition) -> Source:
    if params.continuation is not None:
        return Source(params.continuation)
    return Source.LATENTS if svi2pro_of(clip, definition) else Source.LAST_FRAME


def _clip(wanted: Wanted, plan: Plan, handed: Source, before: list[ChainClip]) -> ChainClip:
    tail = wanted.params.end_tail_latents
    head, cut = plan.continuation.head_drop, frames_of_latents(tail)
    return ChainClip(
        index=wanted.index,
        plan=plan,
        fields={field: wanted.name(field) for field in plan.references},
        head_frames=head,
        shown_frames=plan.segments[0].num_frames - head - cut,
        tail_frames=cut,
        tail_latents=tail,
        first_frame=before[-1].first_frame + before[-1].shown_frames if before else 0,
        continues=handed,
    )
