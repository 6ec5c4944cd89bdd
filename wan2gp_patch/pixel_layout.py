"""Conditioning through pixels: given frames and empty ones in one clip, encoded together."""

from __future__ import annotations

from torch import Tensor

from wan2gp_patch.adjustment import Adjustment
from wan2gp_patch.errors import ConditioningError
from wan2gp_patch.frames import PIXELS_PER_LATENT, EndFrameMode, decoded_frames, lengths_that_hold
from wan2gp_patch.masks import empty_frames, known_frames, pack_mask
from wan2gp_patch.pixels import filler
from wan2gp_patch.video_encoder import VideoEncoder

REPEATS = 4
"""How often the end image stands at the end of the clip in end-frame mode `repeat_4`."""


def pixel_conditioning(
    vae: VideoEncoder,
    num_frames: int,
    mode: EndFrameMode,
    *,
    start: Tensor | None,
    end: Tensor | None,
    like: Tensor,
    pad: Tensor | None = None,
    known_mask: Tensor | None = None,
) -> tuple[Tensor, Tensor, list[Adjustment]]:
    """Latents [16, T, h, w], mask [4, T, h, w] and adjustments of [start | empty | end] in one encode.

    `start`, `end` and `pad` are pixels [3, a, H, W] of the size of `like`, all on its device. `pad` fills the
    empty frames, `known_mask` replaces the mask of the given frames. Not for `slot`, which works on latents.
    """
    if mode is EndFrameMode.REPEAT_4 and end is not None:
        end = end.expand(-1, REPEATS, -1, -1)
    total = decoded_frames(num_frames, mode)
    first = 0 if start is None else start.shape[1]
    last = 0 if end is None else end.shape[1]
    extra = mode is EndFrameMode.EXTRA_LATENT
    if first + last > total:
        raise ConditioningError(
            f"{first} start frames and {last} end frames do not fit into {total}; legal are together up to "
            f"{total}, or num_frames of {lengths_that_hold(first + last, end_frame=extra)}"
        )
    height, width = (size // PIXELS_PER_LATENT for size in like.shape[2:])
    known, adjustments = known_frames(total, first, last, height, width, known_mask)
    empty = None if known_mask is None else empty_frames(known)
    if pad is not None and not any(empty[first : total - last] if empty else [True] * (total - last - first)):
        why = "no frame is empty: all of them are given or known"
        adjustments.append(Adjustment("pad_video", f"{pad.shape[1]} frames", None, why))
    given_start, given_end = ([] if given is None else [given] for given in (start, end))
    latents = vae.encode([*given_start, *filler(first, total - last, like, pad, empty), *given_end], extra)
    return latents, pack_mask(known, expand_last=extra).to(latents), adjustments
