"""From parameters and a model definition to what will run. Pure: nothing is read, loaded or drawn here."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Final

from headless.errors import BadParams
from headless.params.generate import GenerateParams
from headless.planning.as_json import plan_json
from headless.planning.images import ImagePlan, resolve_images
from headless.planning.ledger import Ledger
from headless.planning.loras import PlannedLora, resolve_loras
from headless.planning.phases import Phases, resolve_phases
from headless.planning.plan import Plan, SegmentPlan
from headless.planning.seeds import segment_seed
from headless.planning.size import Size, resolve_size
from headless.ports import ModelDefinition
from wan2gp_patch.adjustment import Adjustment
from wan2gp_patch.errors import ConditioningError
from wan2gp_patch.frames import (
    FRAMES_PER_LATENT,
    EndFrameMode,
    Source,
    floor_to_clip_length,
    model_latents,
    new_frames,
)

__all__ = ["Plan", "PlannedLora", "SegmentPlan", "make_plan", "plan_json", "segment_seed"]

DEFAULT_FRAMES: Final = 81
DEFAULT_FPS: Final = 16
DEFAULT_SIZE: Final = (832, 480)
SHORTEST_WITH_END: Final = 5
"""Frames of a clip whose end is another picture than its start: the next length after 1."""


def make_plan(
    params: GenerateParams,
    definition: ModelDefinition,
    *,
    seed_source: Callable[[], int],
    image_sizes: Mapping[str, Size] | None = None,
    handed: Source | None = None,
) -> Plan:
    """One clip, every value resolved: what was asked for, else the model's setting, else the product's.

    `handed`: what the clip before it hands over, where `continue_from` does not say it.

    `seed_source()` gives a seed in 0..2^32-1 where none was asked for. `image_sizes` has width and height of
    the inputs that are known, by field name; without them the clip takes the model's size.

    Raises:
        BadParams: values cannot be combined or do not fit the model; or, under `strict`, something would have
            been adjusted. The message names field, value and what is legal.
    """
    ledger = Ledger()
    images = resolve_images(params, definition, ledger, handed)
    phases = resolve_phases(params, definition)
    num_frames = resolve_num_frames(params, definition, ledger)
    size = resolve_size(params, _usual_size(definition), image_sizes or {}, ledger)
    loras = resolve_loras(params, definition, phases)
    if params.strict:
        ledger.refuse()
    seed = seed_source() if params.seed is None else params.seed
    segments = (_segment(images, num_frames, segment_seed(seed, 0)),)
    return _assembled(params, definition, images, phases, size, loras, seed, segments, ledger.entries)


def resolve_num_frames(params: GenerateParams, definition: ModelDefinition, ledger: Ledger) -> int:
    """Frames of a clip with its tail, 4k+1. Raises `BadParams` for more than the model makes."""
    asked = params.num_frames or int(definition.settings.get("num_frames") or DEFAULT_FRAMES)
    used = floor_to_clip_length(asked)
    ledger.used("num_frames", asked, used, "a clip has 4k+1 frames")
    tail = FRAMES_PER_LATENT * params.end_tail_latents
    longest = definition.settings.get("max_frames")
    if longest is not None and used + tail > longest:
        more = (
            f", and end_tail_latents {params.end_tail_latents} makes the clip {tail} longer" if tail else ""
        )
        raise BadParams(
            f"num_frames is {asked}{more}: model {definition.id} makes clips of 1 to "
            f"{floor_to_clip_length(longest)} frames."
        )
    if params.end_image is not None and used < SHORTEST_WITH_END:
        raise BadParams(
            f"num_frames is {asked}: with an end_image a clip has at least {SHORTEST_WITH_END} frames."
        )
    return used + tail


def _usual_size(definition: ModelDefinition) -> Size:
    settings = definition.settings
    if settings.get("width") and settings.get("height"):
        return int(settings["width"]), int(settings["height"])
    return DEFAULT_SIZE


def _segment(images: ImagePlan, num_frames: int, seed: int) -> SegmentPlan:
    mode = images.end_frame_mode if "end_image" in images.references else EndFrameMode.NONE
    try:
        new = new_frames(num_frames, images.continuation)
    except ConditioningError as error:
        raise BadParams(f"num_frames is {num_frames}: {error}.") from error
    return SegmentPlan(0, seed, num_frames, new, model_latents(num_frames, mode))


def _output_checks(params: GenerateParams, definition: ModelDefinition) -> bool:
    if params.output_checks is None:
        return bool(definition.model_def.get("output_checks", True))
    return params.output_checks


def _assembled(
    params: GenerateParams,
    definition: ModelDefinition,
    images: ImagePlan,
    phases: Phases,
    size: Size,
    loras: tuple[PlannedLora, ...],
    seed: int,
    segments: tuple[SegmentPlan, ...],
    adjustments: tuple[Adjustment, ...],
) -> Plan:
    settings, options = definition.settings, images.options
    own_negative = str(settings.get("negative_prompt") or "")
    return Plan(
        model=definition.id,
        model_name=definition.name,
        architecture=definition.architecture,
        prompt=params.prompt,
        negative_prompt=own_negative if params.negative_prompt is None else params.negative_prompt,
        references=images.references,
        image_fit=params.image_fit,
        width=size[0],
        height=size[1],
        num_frames=segments[0].num_frames,
        fps=params.fps or int(settings.get("fps") or DEFAULT_FPS),
        steps=phases.steps,
        phase_steps=phases.split,
        phase_guidance=phases.guidance,
        high_noise_phases=phases.high_noise,
        guidance_scale=phases.guidance[0],
        guidance_scale_2=phases.guidance[min(1, len(phases.guidance) - 1)],
        flow_shift=phases.flow_shift,
        solver=phases.solver,
        seed=seed,
        seed_chosen=params.seed is None,
        svi2pro=images.svi2pro,
        svi_pad_empty_frames_with_anchor=images.pad_with_anchor,
        end_frame_mode=images.end_frame_mode.value,
        continuation=images.continuation,
        motion_latent_count=images.motion_latent_count,
        overlap=images.overlap,
        start_latent_strength=options["start_latent_strength"],
        end_latent_strength=options["end_latent_strength"],
        augment_empty_frames=options["augment_empty_frames"],
        noise_augmentation=options["noise_augmentation"],
        loras=loras,
        output_checks=_output_checks(params, definition),
        segments=segments,
        adjustments=adjustments,
    )
