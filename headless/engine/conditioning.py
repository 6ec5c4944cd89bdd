"""Which conditioning path a request takes, and its pictures as the paths want them.

The model definition decides: with `svi2pro` the clip is told through SVI's anchor and motion latents, without
it through start and end frames. The request never decides this.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from torch import Tensor

from headless.engine.handoff import load_latents
from headless.errors import BadParams
from headless.planning.ledger import refuse_adjustments
from headless.segment import Clip, SegmentRequest
from models.vae import WanVae
from wan2gp_patch.adjustment import Adjustment
from wan2gp_patch.any2video import (
    image_to_video_conditioning,
    svi_end_frame_conditioning,
    svi_pro_conditioning,
)
from wan2gp_patch.conditioning import Conditioning
from wan2gp_patch.errors import ConditioningError
from wan2gp_patch.frames import (
    FRAMES_PER_LATENT,
    Continuation,
    EndFrameMode,
    continuation_of_video,
    new_frames,
    prefix_frames,
)


@dataclass(frozen=True)
class Conditioned:
    """What the model reads beside the noise, and what the clip continues. No conditioning: text to video."""

    conditioning: Conditioning | None
    continuation: Continuation
    adjustments: tuple[Adjustment, ...] = ()

    @property
    def end_frame_mode(self) -> EndFrameMode:
        """The mode that was used."""
        return EndFrameMode.NONE if self.conditioning is None else self.conditioning.end_frame_mode


def condition(
    request: SegmentRequest, model_def: Mapping[str, Any], vae: WanVae, generator: torch.Generator
) -> Conditioned:
    """The conditioning of an image-to-video model. Raises `BadParams`, `BadInput`."""
    try:
        if model_def.get("svi2pro", False):
            conditioned = _svi(request, vae)
        else:
            conditioned = _image_to_video(request, vae, generator)
        if request.start_is_last_frame:
            conditioned = replace(conditioned, continuation=Continuation.last_frame())
        new_frames(request.num_frames, conditioned.continuation)
    except ConditioningError as error:
        raise BadParams(str(error)) from error
    adjustments = _in_words_of_the_task(conditioned.adjustments, request)
    if request.strict:
        refuse_adjustments(adjustments)
    return replace(conditioned, adjustments=adjustments)


def _in_words_of_the_task(
    adjustments: tuple[Adjustment, ...], request: SegmentRequest
) -> tuple[Adjustment, ...]:
    """The same under the names that a task has for its fields."""
    names = {
        "start": "start_image",
        "end": "end_image",
        "anchor": "start_image" if request.anchor_image is None else "anchor_image",
        "prefix_video": "continue_from",
        "pad_empty_with_anchor": "svi_pad_empty_frames_with_anchor",
    }
    return tuple(replace(entry, field=names.get(entry.field, entry.field)) for entry in adjustments)


def without_images(request: SegmentRequest) -> Conditioned:
    """What a text-to-video model gets. Raises `BadParams` where the request holds pictures."""
    given = [name for name in _PICTURES if getattr(request, name) is not None]
    if given:
        raise BadParams(
            f"{given[0]}: {request.model} makes videos of text only; choose an image-to-video model"
        )
    return Conditioned(None, Continuation.nothing())


_PICTURES = (
    "start_image",
    "end_image",
    "anchor_image",
    "prefix",
    "previous_latents",
    "pad_video",
    "known_mask",
)
_ONLY_IMAGE_TO_VIDEO = {
    "pad_video": None,
    "known_mask": None,
    "start_latent_strength": 1.0,
    "end_latent_strength": 1.0,
    "augment_empty_frames": 0.0,
    "noise_augmentation": 0.0,
}


def pixels(clip: Clip) -> Tensor:
    """uint8 [T, H, W, 3] to float32 [3, T, H, W] in [-1, 1], as diffusers' video processor computes it."""
    frames = torch.from_numpy(np.array(clip)).permute(3, 0, 1, 2)
    return 2.0 * (frames.to(torch.float32) / 255.0) - 1.0


def _picture(picture: Clip | None) -> Tensor | None:
    return None if picture is None else pixels(picture[np.newaxis])


def _image_to_video(request: SegmentRequest, vae: WanVae, generator: torch.Generator) -> Conditioned:
    if request.previous_latents is not None:
        raise BadParams(
            f"continue_from: {request.model} continues a clip from its video, not from its latents; "
            "give the video, or a model whose definition sets svi2pro"
        )
    start, continuation, adjustments = _start(request)
    conditioning = image_to_video_conditioning(
        vae,
        start=start,
        end=_picture(request.end_image),
        num_frames=request.num_frames,
        height=request.height,
        width=request.width,
        end_frame_mode=request.end_frame_mode,
        pad_video=None if request.pad_video is None else pixels(request.pad_video),
        known_mask=None if request.known_mask is None else torch.from_numpy(np.array(request.known_mask)),
        start_latent_strength=request.start_latent_strength,
        end_latent_strength=request.end_latent_strength,
        augment_empty_frames=request.augment_empty_frames,
        noise_augmentation=request.noise_augmentation,
        generator=generator,
    )
    return Conditioned(conditioning, continuation, (*adjustments, *conditioning.adjustments))


def _start(request: SegmentRequest) -> tuple[Tensor | None, Continuation, tuple[Adjustment, ...]]:
    """The known frames at the head: of the video before, else the start image."""
    if request.prefix is None:
        return _picture(request.start_image), Continuation.nothing(), ()
    wanted = prefix_frames(request.overlap)
    if len(request.prefix) >= wanted:
        return pixels(request.prefix[-wanted:]), Continuation.pixels(request.overlap), ()
    why = f"the video before has {len(request.prefix)} frames, not {wanted}; its last frame is continued"
    adjustment = Adjustment("overlap", request.overlap, 0, why)
    return pixels(request.prefix[-1:]), Continuation.last_frame(), (adjustment,)


def _svi(request: SegmentRequest, vae: WanVae) -> Conditioned:
    anchor = _picture(request.anchor_image if request.anchor_image is not None else request.start_image)
    if anchor is None:
        raise BadParams("anchor_image: svi2pro needs a start_image or an anchor_image; neither is given")
    unused = _not_used_by_svi(request)
    end = _picture(request.end_image)
    conditioned = (
        _svi_onwards(request, vae, anchor) if end is None else _svi_to_end(request, vae, anchor, end)
    )
    return replace(conditioned, adjustments=(*unused, *conditioned.adjustments))


def _not_used_by_svi(request: SegmentRequest) -> tuple[Adjustment, ...]:
    return tuple(
        Adjustment(name, "given" if neutral is None else value, neutral, "not used with svi2pro")
        for name, neutral in _ONLY_IMAGE_TO_VIDEO.items()
        if (value := getattr(request, name)) is not None and (neutral is None or value != neutral)
    )


def _svi_onwards(request: SegmentRequest, vae: WanVae, anchor: Tensor) -> Conditioned:
    """No end image: latents only. A video before is encoded, and its last latents are continued."""
    previous, motion = _previous(request), request.motion_latent_count
    continuation = Continuation.nothing()
    adjustments: tuple[Adjustment, ...] = ()
    if previous is None and request.prefix is not None:
        continuation, adjustments = _of_video(request.prefix, request.overlap)
        motion = continuation.motion_latents
        if motion:
            previous = vae.encode(pixels(request.prefix[-prefix_frames(request.overlap) :]))
    conditioning = svi_pro_conditioning(
        vae.encode(anchor),
        num_frames=request.num_frames,
        previous_latents=previous,
        motion_latent_count=motion,
    )
    if previous is not None:
        continuation = conditioning.continuation
    return Conditioned(conditioning, continuation, (*adjustments, *conditioning.adjustments))


def _of_video(prefix: Clip, overlap: int) -> tuple[Continuation, tuple[Adjustment, ...]]:
    """How SVI continues a video, and what is reported where it is too short for the motion latents."""
    continuation, wanted = continuation_of_video(len(prefix), overlap), overlap // FRAMES_PER_LATENT
    if continuation.motion_latents == wanted:
        return continuation, ()
    why = (
        f"the video before has {len(prefix)} frames and {prefix_frames(overlap)} are needed; "
        "the clip begins anew from the anchor"
    )
    return continuation, (Adjustment("motion_latent_count", wanted, 0, why),)


def _svi_to_end(request: SegmentRequest, vae: WanVae, anchor: Tensor, end: Tensor) -> Conditioned:
    conditioning = svi_end_frame_conditioning(
        vae,
        anchor=anchor,
        end=end,
        num_frames=request.num_frames,
        prefix_video=None if request.prefix is None else pixels(request.prefix),
        overlap=request.overlap,
        pad_empty_with_anchor=request.svi_pad_empty_frames_with_anchor,
        end_frame_mode=request.end_frame_mode,
        previous_latents=_previous(request),
        motion_latent_count=request.motion_latent_count,
    )
    return Conditioned(conditioning, conditioning.continuation, tuple(conditioning.adjustments))


def _previous(request: SegmentRequest) -> Tensor | None:
    if request.previous_latents is None:
        return None
    return load_latents(request.previous_latents, height=request.height, width=request.width)
