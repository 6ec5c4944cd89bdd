"""What the model is told about known frames: which inputs act, and in which end-frame mode."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Final

from headless.errors import BadParams
from headless.media.guard import redact_url
from headless.params.generate import GenerateParams
from headless.params.references import is_task_id
from headless.planning.ledger import Ledger
from headless.ports import ModelDefinition
from wan2gp_patch.frames import FRAMES_PER_LATENT, Continuation, EndFrameMode, Source, prefix_frames

DEFAULT_MODE: Final = EndFrameMode.EXTRA_LATENT
DEFAULT_OVERLAP: Final = 4
DEFAULT_MOTION_LATENTS: Final = 1
TEXT_ONLY: Final = frozenset({"t2v", "t2v_1.3B", "t2v_2_2"})
"""Architectures that read noise and text, and no picture."""
_NEUTRAL: Final = {
    "start_latent_strength": 1.0,
    "end_latent_strength": 1.0,
    "augment_empty_frames": 0.0,
    "noise_augmentation": 0.0,
}
"""Options of the plain image-to-video path, and the values at which they do nothing."""


@dataclass(frozen=True)
class ImagePlan:
    """Inputs that act, by field, and how. `end_frame_mode` is what an end image uses, also without one."""

    svi2pro: bool
    references: dict[str, str]
    end_frame_mode: EndFrameMode
    continuation: Continuation
    overlap: int
    motion_latent_count: int
    pad_with_anchor: bool
    options: dict[str, float] = field(default_factory=dict)
    """Strengths of the plain image-to-video path, neutral where it is not taken."""


def resolve_images(
    params: GenerateParams, definition: ModelDefinition, ledger: Ledger, handed: Source | None = None
) -> ImagePlan:
    """Decide, refuse what cannot be combined, and write down what does nothing.

    `handed`: what a clip before this one hands over; by default what `continue_from` is, the latents of a
    task or the pixels of a video.

    Raises:
        BadParams: the inputs cannot be combined; the message says why and what to give.
    """
    svi = svi2pro_of(params, definition)
    handed = handed_by(params.continue_from) if handed is None else handed
    text_only = definition.architecture in TEXT_ONLY
    if text_only:
        _refuse_pictures(params, svi, handed)
    _check_sources(params, svi, handed)
    mode = _mode(params, definition, svi, handed, ledger)
    _check_mode(params, svi, handed, mode)
    overlap, motion = _hand_over(params, definition, svi, handed, mode, ledger)
    continuation = _continuation(params, svi, handed, mode, overlap, motion)
    references = _acting_references(params, svi, handed, ledger)
    _check_mask(params, svi, handed)
    _report_motion(params, continuation, motion, ledger)
    return ImagePlan(
        svi2pro=svi,
        references=references,
        end_frame_mode=mode,
        continuation=continuation,
        overlap=overlap,
        motion_latent_count=motion,
        pad_with_anchor=_pad_with_anchor(params, definition, svi, mode, continuation, ledger),
        options=_options(params, svi, text_only, ledger),
    )


def svi2pro_of(params: GenerateParams, definition: ModelDefinition) -> bool:
    """Whether a clip is conditioned as SVI 2 Pro was trained: as asked, else as the model says."""
    own = bool(definition.model_def.get("svi2pro", False))
    return own if params.svi2pro is None else params.svi2pro


def handed_by(reference: str | None) -> Source:
    """What an earlier clip hands over, by its reference: a task its latents, a video its pixels."""
    if reference is None:
        return Source.NOTHING
    return Source.LATENTS if is_task_id(reference) else Source.PIXELS


def frames_seen(handed: Source, motion_latents: int, overlap: int) -> int:
    """The length of the shortest clip that has all that the next one sees of it."""
    match handed:
        case Source.NOTHING:
            return 0
        case Source.LATENTS:
            return FRAMES_PER_LATENT * motion_latents + 1
        case Source.PIXELS:
            return prefix_frames(overlap)
        case Source.LAST_FRAME:
            return 1


def _refuse_pictures(params: GenerateParams, svi: bool, handed: Source) -> None:
    if svi:
        raise BadParams(
            f"svi2pro is true, and {params.model} makes videos of text only: leave svi2pro out, or choose an "
            "image-to-video model."
        )
    given = sorted(params.references())
    if given:
        raise BadParams(
            f"{given[0]} is given, and {params.model} makes videos of text only: leave {', '.join(given)} "
            "out, or choose an image-to-video model."
        )
    if handed is not Source.NOTHING:
        raise BadParams(
            f"{params.model} makes videos of text only, so that no clip can continue another: ask for one "
            "clip, or choose an image-to-video model."
        )


def _check_sources(params: GenerateParams, svi: bool, handed: Source) -> None:
    pictures = params.start_image is not None or params.anchor_image is not None
    if svi and not pictures and handed is not Source.LAST_FRAME:
        asked = "svi2pro is true" if params.svi2pro else f"model {params.model} sets svi2pro"
        raise BadParams(f"{asked}, which needs to know how things look: give start_image or anchor_image.")
    if svi or handed is not Source.LATENTS:
        return
    raise BadParams(
        f"continue_from is the task {params.continue_from}, but only svi2pro continues from the latents "
        "of a task: give svi2pro true, or the task's video."
    )


def _mode(
    params: GenerateParams, definition: ModelDefinition, svi: bool, handed: Source, ledger: Ledger
) -> EndFrameMode:
    requested = params.end_frame_mode
    if params.end_image is None:
        if requested is not None:
            ledger.used("end_frame_mode", requested, None, "there is no end_image")
        return EndFrameMode(requested or definition.model_def.get("end_frame_mode") or DEFAULT_MODE)
    if not svi and params.start_image is None and handed is Source.NOTHING:
        if requested == "slot":
            raise BadParams(
                'end_frame_mode is "slot", which puts the end behind the latent of a start: '
                'give start_image, or the mode "in_chunk".'
            )
        if requested is not None:
            why = "an end image without a start image is only understood inside the last chunk"
            ledger.used("end_frame_mode", requested, EndFrameMode.IN_CHUNK.value, why)
        return EndFrameMode.IN_CHUNK
    return EndFrameMode(requested or definition.model_def.get("end_frame_mode") or DEFAULT_MODE)


def _check_mode(params: GenerateParams, svi: bool, handed: Source, mode: EndFrameMode) -> None:
    if params.end_image is None:
        return
    in_latents = mode in (EndFrameMode.SLOT, EndFrameMode.EXTRA_LATENT)
    if svi and handed is Source.LATENTS and not in_latents:
        of_task = params.continue_from is not None
        what = "continue_from is a task, which hands" if of_task else 'continuation is "latents", which hands'
        instead = "the task's video" if of_task else 'the continuation "pixels"'
        raise BadParams(
            f'end_frame_mode is "{mode}", which works in pixels, and {what} '
            f'over latents: give "extra_latent" or "slot", or {instead}.'
        )
    if not svi and mode is EndFrameMode.SLOT and params.pad_video is not None:
        raise BadParams(
            'end_frame_mode is "slot", which has no empty pixels, and pad_video would fill them: leave '
            'pad_video out, or give "in_chunk", "extra_latent" or "repeat_4".'
        )


def _hand_over(
    params: GenerateParams,
    definition: ModelDefinition,
    svi: bool,
    handed: Source,
    mode: EndFrameMode,
    ledger: Ledger,
) -> tuple[int, int]:
    """Overlap in frames, and motion latents. A video hands over overlap / 4 latents."""
    settings = definition.settings
    asked = overlap_of(params, ledger)
    through_latents = (
        svi and handed is Source.PIXELS and (params.end_image is None or mode is EndFrameMode.SLOT)
    )
    motion = params.motion_latent_count
    if asked is not None and (handed is Source.LATENTS or through_latents):
        if motion not in (None, asked // FRAMES_PER_LATENT):
            raise BadParams(
                f"overlap is {asked}, which is {asked // FRAMES_PER_LATENT} latents, and motion_latent_count "
                f"is {motion}: give one of them."
            )
        motion = asked // FRAMES_PER_LATENT
    if motion is None:
        motion = int(settings.get("motion_latent_count", DEFAULT_MOTION_LATENTS))
    if through_latents:
        return FRAMES_PER_LATENT * motion, motion
    return int(settings.get("overlap", DEFAULT_OVERLAP)) if asked is None else asked, motion


def overlap_of(params: GenerateParams, ledger: Ledger) -> int | None:
    """The overlap that was asked for, in whole latents."""
    if params.overlap is None:
        return None
    whole = params.overlap - params.overlap % FRAMES_PER_LATENT
    ledger.used("overlap", params.overlap, whole, f"an overlap is a multiple of {FRAMES_PER_LATENT}")
    return whole


def _continuation(
    params: GenerateParams, svi: bool, handed: Source, mode: EndFrameMode, overlap: int, motion: int
) -> Continuation:
    if handed is Source.NOTHING:
        return Continuation.nothing()
    if handed is Source.LAST_FRAME:
        return Continuation.last_frame()
    through_latents = params.end_image is None or handed is Source.LATENTS or mode is EndFrameMode.SLOT
    return Continuation.latents(motion) if svi and through_latents else Continuation.pixels(overlap)


def _acting_references(params: GenerateParams, svi: bool, handed: Source, ledger: Ledger) -> dict[str, str]:
    """The inputs that act; those that do not are written down."""
    found = params.references()
    idle: dict[str, str] = {}
    if svi:
        idle |= dict.fromkeys(("pad_video", "known_mask"), "it does nothing with svi2pro")
        if handed is Source.LAST_FRAME:
            why = "the clip begins with the last frame of the one before"
            idle |= dict.fromkeys(("start_image", "anchor_image"), why)
        elif params.anchor_image is not None and params.start_image not in (None, params.anchor_image):
            idle["start_image"] = "svi2pro begins with the anchor_image"
    else:
        idle["anchor_image"] = "only svi2pro looks at an anchor"
        if handed is not Source.NOTHING:
            idle["start_image"] = "the clip begins with the frames that it continues"
    for name, why in idle.items():
        if name in found:
            ledger.used(name, redact_url(found.pop(name)), None, why)
    return found


def _check_mask(params: GenerateParams, svi: bool, handed: Source) -> None:
    if not svi and params.known_mask is not None and params.start_image is None and handed is Source.NOTHING:
        raise BadParams(
            "known_mask says which frames of the start are known, and there is none: give start_image, "
            "or leave known_mask out."
        )


def _report_motion(params: GenerateParams, continuation: Continuation, motion: int, ledger: Ledger) -> None:
    if params.motion_latent_count is None or continuation.source is Source.LATENTS:
        return
    nothing = continuation.source is Source.NOTHING
    why = "it continues nothing" if nothing else "the clip continues from frames"
    ledger.used("motion_latent_count", motion, None, why)


def _pad_with_anchor(
    params: GenerateParams,
    definition: ModelDefinition,
    svi: bool,
    mode: EndFrameMode,
    continuation: Continuation,
    ledger: Ledger,
) -> bool:
    asked = params.svi_pad_empty_frames_with_anchor
    own = bool(definition.model_def.get("svi_pad_empty_frames_with_anchor", False))
    wanted = own if asked is None else asked
    has_empty_pixels = (
        svi
        and params.end_image is not None
        and mode is not EndFrameMode.SLOT
        and continuation.source is not Source.LATENTS
    )
    if asked and not has_empty_pixels:
        why = "only svi2pro with an end image, told in pixels, has empty frames to fill"
        ledger.used("svi_pad_empty_frames_with_anchor", True, False, why)
    return wanted and has_empty_pixels


def _options(params: GenerateParams, svi: bool, text_only: bool, ledger: Ledger) -> dict[str, float]:
    idle = svi or text_only
    used = {name: neutral if idle else getattr(params, name) for name, neutral in _NEUTRAL.items()}
    why = f"it does nothing with {'svi2pro' if svi else 'a model that reads no pictures'}"
    for name, value in used.items():
        ledger.used(name, getattr(params, name), value, why)
    return used
