"""Conditioning through latents: encoded frames side by side, with zero latents between them."""

from __future__ import annotations

import torch
from torch import Tensor

from wan2gp_patch.adjustment import Adjustment
from wan2gp_patch.errors import ConditioningError
from wan2gp_patch.frames import (
    PIXELS_PER_LATENT,
    SIZE_MULTIPLE,
    EndFrameMode,
    checked_motion_count,
    decoded_frames,
    frame_count,
    latent_count,
    lengths_that_hold,
)
from wan2gp_patch.masks import known_frames, pack_mask

LATENT_CHANNELS = 16
LATENT_SIZE_MULTIPLE = SIZE_MULTIPLE // PIXELS_PER_LATENT


def check_latents(name: str, latents: object, like: Tensor | None = None) -> None:
    """Raises `ConditioningError` unless `latents` are finite [16, t, h, w], of the h and w of `like`.

    Without `like`, h and w are even: the model reads patches of 2 by 2, pixels come in multiples of 16.
    """
    if not isinstance(latents, Tensor):
        raise ConditioningError(f"{name} are a {type(latents).__name__}; legal is a tensor [16, t, h, w]")
    size = "h, w" if like is None else f"{like.shape[-2]}, {like.shape[-1]}"
    fits = latents.ndim == 4 and latents.shape[0] == LATENT_CHANNELS and latents.numel() > 0
    if not fits or (like is not None and latents.shape[-2:] != like.shape[-2:]):
        raise ConditioningError(f"{name} are {list(latents.shape)}; legal is [{LATENT_CHANNELS}, t, {size}]")
    if like is None and any(side % LATENT_SIZE_MULTIPLE for side in latents.shape[-2:]):
        raise ConditioningError(f"{name} are {list(latents.shape)}; legal are even h and w")
    if not latents.is_floating_point():
        raise ConditioningError(f"{name} are {latents.dtype}; legal are floating-point numbers")
    if not bool(latents.isfinite().all()):
        wrong = int((~latents.isfinite()).sum())
        raise ConditioningError(
            f"{name} hold {wrong} of {latents.numel()} values that are not finite; legal are finite numbers"
        )


def motion_latents(previous: Tensor | None, count: int, like: Tensor) -> tuple[Tensor, list[Adjustment]]:
    """The last `count` of the latents of the clip before, [16, M, h, w] on the device of `like`.

    None of them without such a clip; all of them, which is reported, where it has fewer.
    """
    count = checked_motion_count(count)
    if previous is None:
        return like[:, :0], []
    check_latents("previous_latents", previous, like)
    used = min(count, previous.shape[1])
    motion = previous[:, previous.shape[1] - used :].to(like)
    if used == count:
        return motion, []
    return motion, [Adjustment("motion_latent_count", count, used, "the clip before has no more latents")]


def latent_conditioning(
    head: Tensor,
    motion: Tensor,
    num_frames: int,
    mode: EndFrameMode,
    *,
    end: Tensor | None = None,
    start_frames: int = 1,
    known_mask: Tensor | None = None,
) -> tuple[Tensor, Tensor, list[Adjustment]]:
    """Latents, mask and adjustments of [head | motion | zeros], and the end where there is one.

    `head` [16, a, h, w], of which `start_frames` pixel frames are known; `motion` [16, M, h, w] is a hint and
    not known; `end` [16, 1, h, w] takes the last slot (`slot`) or comes after it (`extra_latent`).
    """
    slots = latent_count(num_frames)
    given = head.shape[1] + motion.shape[1] + (1 if mode is EndFrameMode.SLOT else 0)
    if given >= slots:
        raise ConditioningError(
            f"{given} of the {slots} latents of {num_frames} frames would be given and none generated; "
            f"num_frames must be {lengths_that_hold(frame_count(given + 1))}; or hand over fewer latents"
        )
    empty = head.new_zeros(head.shape[0], slots - given, *head.shape[2:])
    latents = torch.cat([head, motion, empty, *([] if end is None else [end])], dim=1)
    total = decoded_frames(num_frames, mode)
    ends = 0 if end is None else 1
    height, width = head.shape[2:]
    known, adjustments = known_frames(total, start_frames, ends, height, width, known_mask)
    mask = pack_mask(known, expand_last=mode is EndFrameMode.EXTRA_LATENT)
    return latents, mask.to(latents), adjustments
