"""SVI with an end image: what came before, the empty frames, the end; through pixels or through latents."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor

from wan2gp_patch.adjustment import Adjustment
from wan2gp_patch.conditioning import Conditioning
from wan2gp_patch.errors import ConditioningError
from wan2gp_patch.frames import (
    FRAMES_PER_LATENT,
    Continuation,
    EndFrameMode,
    new_frames,
    prefix_frames,
)
from wan2gp_patch.latent_layout import latent_conditioning, motion_latents
from wan2gp_patch.pixel_layout import pixel_conditioning
from wan2gp_patch.video_encoder import VideoEncoder


@dataclass(frozen=True)
class EndFrameClip:
    """A clip with an end image, checked: pixels of one size, `num_frames` 4k+1.

    `prefix` is what is read of the video before, or `None` where there is none or it is too short;
    `has_prefix_video` tells these two apart.
    """

    num_frames: int
    mode: EndFrameMode
    anchor: Tensor | None
    end: Tensor
    prefix: Tensor | None
    has_prefix_video: bool
    overlap: int
    pad_empty_with_anchor: bool

    def required_anchor(self, purpose: str) -> Tensor:
        """The anchor. Raises `ConditioningError` where there is none."""
        if self.anchor is None:
            raise ConditioningError(f"anchor is missing; legal is an image [3, 1, H, W], needed {purpose}")
        return self.anchor


def usable_prefix(prefix_video: Tensor | None, overlap: int) -> tuple[Tensor | None, list[Adjustment]]:
    """The last 5 + overlap frames of the video before, or `None`, which is reported, where it has fewer."""
    wanted = prefix_frames(overlap)
    if prefix_video is None:
        return None, []
    found = prefix_video.shape[1]
    if found >= wanted:
        return prefix_video[:, found - wanted :], []
    why = f"a prefix needs 5 + overlap = {wanted} frames"
    return None, [Adjustment("prefix_video", f"{found} frames", "the anchor", why)]


def video_motion_latents(vae: VideoEncoder, prefix: Tensor, overlap: int) -> Tensor:
    """Motion latents [16, overlap / 4, h, w] of the last frames of a video, [3, 5 + overlap, H, W]."""
    latents = vae.encode(prefix)
    return latents[:, latents.shape[1] - overlap // FRAMES_PER_LATENT :]


def through_pixels(vae: VideoEncoder, clip: EndFrameClip) -> Conditioning:
    """[start | empty | end] in one encode. The start is the prefix, all known, or the anchor."""
    anchor = clip.anchor
    adjustments: list[Adjustment] = []
    if clip.prefix is None:
        start = clip.required_anchor("as the start of the clip")
        continuation = Continuation.latents(0) if clip.has_prefix_video else Continuation.nothing()
    else:
        start, continuation = clip.prefix, Continuation.pixels(clip.overlap)
        new_frames(clip.num_frames, continuation)
        if anchor is not None and not clip.pad_empty_with_anchor:
            why = (
                "the frames of the prefix video start the clip, and the empty frames are grey; "
                "only padding these with the anchor would use it"
            )
            adjustments.append(Adjustment("anchor", "an image", None, why))
    latents, mask, _ = pixel_conditioning(
        vae,
        clip.num_frames,
        clip.mode,
        start=start,
        end=clip.end,
        like=start,
        pad=clip.required_anchor("in the empty frames") if clip.pad_empty_with_anchor else None,
    )
    return Conditioning(latents, mask, clip.mode, clip.num_frames, tuple(adjustments), continuation)


def through_latents(
    vae: VideoEncoder, clip: EndFrameClip, previous: Tensor | None, motion_latent_count: int
) -> Conditioning:
    """[anchor | motion latents | zeros] and the end: in the last slot, or after it (`extra_latent`)."""
    anchor = vae.encode(clip.required_anchor("as the first latent"))
    adjustments: list[Adjustment] = []
    if previous is None and clip.prefix is not None:
        motion = video_motion_latents(vae, clip.prefix, clip.overlap)
    else:
        motion, adjustments = motion_latents(previous, motion_latent_count, anchor)
    if clip.pad_empty_with_anchor:
        why = "the clip is conditioned on latents; zero latents stand between them, no empty pixels"
        adjustments.append(Adjustment("pad_empty_with_anchor", True, False, why))
    latents, mask, _ = latent_conditioning(
        anchor, motion, clip.num_frames, clip.mode, end=vae.encode(clip.end)
    )
    if previous is None and not clip.has_prefix_video:
        continuation = Continuation.nothing()
    else:
        continuation = Continuation.latents(motion.shape[1])
    return Conditioning(latents, mask, clip.mode, clip.num_frames, tuple(adjustments), continuation)
