"""Start images, end images, earlier clips: every way to tell the video model about known frames."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import torch
from torch import Tensor

from wan2gp_patch.adjustment import Adjustment
from wan2gp_patch.conditioning import Conditioning
from wan2gp_patch.errors import ConditioningError
from wan2gp_patch.frames import (
    FRAMES_PER_LATENT,
    Continuation,
    EndFrameMode,
    Source,
    checked_motion_count,
    floor_to_clip_length,
    is_clip_length,
    legal_lengths,
    mode_named,
    prefix_frames,
)
from wan2gp_patch.images import Images, fitted_images, same_size
from wan2gp_patch.latent_layout import check_latents, latent_conditioning, motion_latents
from wan2gp_patch.latent_options import check_strengths, weighted, with_references
from wan2gp_patch.pixel_layout import pixel_conditioning
from wan2gp_patch.pixels import check_pixels, check_size
from wan2gp_patch.svi_debug import describe_conditioning
from wan2gp_patch.svi_end_frame import EndFrameClip, through_latents, through_pixels, usable_prefix
from wan2gp_patch.video_encoder import VideoEncoder

LATENT_MODES = (EndFrameMode.SLOT, EndFrameMode.EXTRA_LATENT)
"""End-frame modes that can continue from latents."""
SINGLE_END_MODES = (EndFrameMode.SLOT, EndFrameMode.REPEAT_4)
"""End-frame modes that know one end image only."""


@torch.no_grad()
def image_to_video_conditioning(
    vae: VideoEncoder,
    *,
    start: Tensor | None,
    end: Tensor | None,
    num_frames: int,
    height: int,
    width: int,
    end_frame_mode: str = "extra_latent",
    pad_video: Tensor | None = None,
    known_mask: Tensor | None = None,
    start_latent_strength: float = 1.0,
    end_latent_strength: float = 1.0,
    augment_empty_frames: float = 0.0,
    reference_latents: Tensor | None = None,
    noise_augmentation: float = 0.0,
    generator: torch.Generator | None = None,
) -> Conditioning:
    """Condition a clip on frames at its start, at its end, at both, or on none.

    Pixels are float32 [3, T, H, W] in [-1, 1]; images of another size are resized with Lanczos. `num_frames`
    is rounded down to 4k+1. Options, in the order in which they act, all strengths from 0 to 10:

    - `noise_augmentation`: standard deviation of seeded noise (`generator`) on start and end pixels.
    - `pad_video` [3, p, H, W]: stands in the empty frames' pixels; the mask still says generate.
    - `known_mask` [F', H, W] in 0..1: replaces the mask; frames with a mean under 0.5 count as empty.
    - `reference_latents` [16, r, h, w]: go before everything, known; `num_frames` grows by 4r.
    - `start_latent_strength`, `end_latent_strength`: multiply the first and the last latent frame.
    - `augment_empty_frames` e: unknown latent frames y become y0 + (y - y0)(1 + e), y0 the first one.

    Raises `ConditioningError`.
    """
    check_size(height, width)
    check_strengths(
        noise_augmentation=noise_augmentation,
        augment_empty_frames=augment_empty_frames,
        start_latent_strength=start_latent_strength,
        end_latent_strength=end_latent_strength,
    )
    frames, rounded = _clip_length(num_frames)
    images, resized = fitted_images(height, width, start=start, end=end, pad_video=pad_video)
    mode, changed = _mode_used(end_frame_mode, images)
    images = images.with_noise(noise_augmentation, generator)

    latents, mask, masked = _encoded(vae, frames, mode, images, known_mask)
    latents, mask = with_references(latents, mask, reference_latents)
    references = 0 if reference_latents is None else reference_latents.shape[1]
    conditioning = Conditioning(
        latents=weighted(
            latents,
            mask,
            first=start_latent_strength,
            last=end_latent_strength,
            augment_empty=augment_empty_frames,
        ),
        mask=mask,
        end_frame_mode=mode,
        num_frames=frames + FRAMES_PER_LATENT * references,
        adjustments=(*rounded, *resized, *changed, *masked),
        reference_latents=references,
    )
    describe_conditioning(
        "image_to_video",
        conditioning,
        start=images.start_frames,
        end=images.end_frames,
        inputs={
            "start": images.start,
            "end": images.end,
            "pad_video": images.pad,
            "known_mask": known_mask,
            "reference_latents": reference_latents,
        },
    )
    return conditioning


@torch.no_grad()
def svi_pro_conditioning(
    anchor_latents: Tensor,
    *,
    num_frames: int,
    previous_latents: Tensor | None = None,
    motion_latent_count: int = 1,
) -> Conditioning:
    """Condition an SVI clip in latent space: [anchor | last latents of the clip before | zeros], no encode.

    `anchor_latents` [16, a, h, w] and `previous_latents` [16, t, h, w] are normalised latents. Only the
    anchor's first frame is known; the motion latents are a hint. h and w are even. Raises
    `ConditioningError`.
    """
    check_latents("anchor_latents", anchor_latents)
    anchor = anchor_latents.float()
    frames, rounded = _clip_length(num_frames)
    motion, fewer = motion_latents(previous_latents, motion_latent_count, anchor)
    latents, mask, _ = latent_conditioning(anchor, motion, frames, EndFrameMode.NONE)
    conditioning = Conditioning(
        latents=latents,
        mask=mask,
        end_frame_mode=EndFrameMode.NONE,
        num_frames=frames,
        adjustments=(*rounded, *fewer),
        continuation=_continuation(previous_latents, motion, anchor),
    )
    describe_conditioning(
        "svi_pro", conditioning, start=1, end=0, inputs={"anchor_latents": anchor, "motion_latents": motion}
    )
    return conditioning


@torch.no_grad()
def svi_end_frame_conditioning(
    vae: VideoEncoder,
    *,
    anchor: Tensor | None,
    end: Tensor,
    num_frames: int,
    prefix_video: Tensor | None = None,
    overlap: int = 4,
    pad_empty_with_anchor: bool = False,
    end_frame_mode: str = "extra_latent",
    previous_latents: Tensor | None = None,
    motion_latent_count: int = 1,
) -> Conditioning:
    """Condition an SVI clip on an end image: [what came before | empty | end].

    What came before is the last 5 + `overlap` frames of `prefix_video` [3, t, H, W], or the last
    `motion_latent_count` latents of `previous_latents` [16, t, h, w] behind the anchor (`slot` and
    `extra_latent` only), or, without either, the anchor. `anchor` and `end` are [3, 1, H, W]. The empty
    frames are grey, or the anchor with `pad_empty_with_anchor`. A prefix with too few frames gives way to the
    anchor, and an anchor that is not used is reported. Raises `ConditioningError`.
    """
    checked_motion_count(motion_latent_count)
    checks = {"anchor": anchor, "end": end, "prefix_video": prefix_video}
    _check_images(checks)
    check_size(*same_size(**checks))
    frames, rounded = _clip_length(num_frames)
    prefix, short = usable_prefix(prefix_video, overlap)
    clip = EndFrameClip(
        num_frames=frames,
        mode=mode_named(end_frame_mode),
        anchor=anchor,
        end=end,
        prefix=prefix,
        has_prefix_video=prefix_video is not None,
        overlap=overlap,
        pad_empty_with_anchor=pad_empty_with_anchor,
    )
    if previous_latents is not None:
        _check_latent_source(clip)
    if clip.mode is EndFrameMode.SLOT or previous_latents is not None:
        conditioning = through_latents(vae, clip, previous_latents, motion_latent_count)
    else:
        conditioning = through_pixels(vae, clip)
    conditioning = replace(conditioning, adjustments=(*rounded, *short, *conditioning.adjustments))
    describe_conditioning(
        "svi_end_frame",
        conditioning,
        start=prefix_frames(overlap) if conditioning.continuation.source is Source.PIXELS else 1,
        end=1,
        inputs={**checks, "previous_latents": previous_latents},
    )
    return conditioning


def _clip_length(num_frames: int) -> tuple[int, list[Adjustment]]:
    frames = floor_to_clip_length(num_frames)
    if frames == num_frames:
        return frames, []
    why = f"a clip has 4k+1 frames: {legal_lengths(num_frames)}"
    return frames, [Adjustment("num_frames", num_frames, frames, why)]


def _mode_used(requested: str, images: Images) -> tuple[EndFrameMode, list[Adjustment]]:
    """The end-frame mode that these images allow."""
    mode = mode_named(requested)
    if images.end is None:
        return EndFrameMode.NONE, []
    if images.start is None and mode is not EndFrameMode.IN_CHUNK:
        why = "an end image without a start image is only understood inside the last chunk"
        return EndFrameMode.IN_CHUNK, [
            Adjustment("end_frame_mode", mode.value, EndFrameMode.IN_CHUNK.value, why)
        ]
    if mode in SINGLE_END_MODES and images.end_frames != 1:
        raise ConditioningError(f"end has {images.end_frames} frames; legal is 1 in end-frame mode {mode}")
    return mode, []


def _encoded(
    vae: VideoEncoder, frames: int, mode: EndFrameMode, images: Images, known_mask: Tensor | None
) -> tuple[Tensor, Tensor, list[Adjustment]]:
    """Latents, mask and what was changed of the mask."""
    if mode is EndFrameMode.SLOT and images.start is not None and images.end is not None:
        _check_slot_images(images)
        start = vae.encode(images.start)
        return latent_conditioning(
            start,
            start[:, :0],
            frames,
            mode,
            end=vae.encode(images.end),
            start_frames=images.start_frames,
            known_mask=known_mask,
        )
    return pixel_conditioning(
        vae,
        frames,
        mode,
        start=images.start,
        end=images.end,
        like=images.like,
        pad=images.pad,
        known_mask=known_mask,
    )


def _check_slot_images(images: Images) -> None:
    if images.pad is not None:
        raise ConditioningError(
            "pad_video is given, but end-frame mode slot encodes no empty frames; legal are in_chunk, "
            "extra_latent and repeat_4"
        )
    if not is_clip_length(images.start_frames):
        lengths = legal_lengths(images.start_frames)
        raise ConditioningError(
            f"start has {images.start_frames} frames, which slot encodes alone; legal are {lengths}"
        )


def _continuation(previous: Tensor | None, motion: Tensor, anchor: Tensor) -> Continuation:
    if previous is None:
        return Continuation.nothing()
    return Continuation.latents(motion.shape[1], anchor.shape[1])


def _check_images(images: Mapping[str, Tensor | None]) -> None:
    for name, pixels in images.items():
        if pixels is None and name == "end":
            raise ConditioningError(
                "end is missing; legal is an image [3, 1, H, W]. Without one, svi_pro_conditioning continues "
                "latents, and image_to_video_conditioning frames"
            )
        if pixels is None:
            continue
        check_pixels(name, pixels)
        if name != "prefix_video" and pixels.shape[1] != 1:
            raise ConditioningError(f"{name} has {pixels.shape[1]} frames; legal is 1")


def _check_latent_source(clip: EndFrameClip) -> None:
    if clip.has_prefix_video:
        raise ConditioningError("prefix_video and previous_latents are both given; legal is one of them")
    if clip.mode not in LATENT_MODES:
        legal = " and ".join(LATENT_MODES)
        raise ConditioningError(
            f"end_frame_mode is {clip.mode} with previous_latents, which it cannot use; legal are {legal}"
        )
