"""Masks: which frames are known, from pixel frames to four sub-frames per latent frame."""

from __future__ import annotations

import torch
from torch import Tensor

from wan2gp_patch.adjustment import Adjustment
from wan2gp_patch.errors import ConditioningError
from wan2gp_patch.frames import FRAMES_PER_LATENT


def known_frames(
    num_frames: int, start: int, end: int, height: int, width: int, given: Tensor | None = None
) -> tuple[Tensor, list[Adjustment]]:
    """Which of `num_frames` frames are known, float32 [num_frames, h, w], and what was changed of `given`.

    The first `start` and the last `end` frames, unless a mask is `given`.
    """
    if given is not None:
        return fitted_mask(given, num_frames, height, width, end=end)
    mask = torch.zeros(num_frames, height, width)
    mask[:start] = 1.0
    mask[num_frames - end :] = 1.0
    return mask, []


def pack_mask(mask: Tensor, *, expand_last: bool) -> Tensor:
    """Group a mask [F', h, w] by latent frame: [4, T, h, w].

    Frame 0 counts four times; with `expand_last` (end-frame mode `extra_latent`) the last frame does too.
    F' is 4k+1, or 4k+2 with `expand_last`.
    """
    first = mask[:1].expand(FRAMES_PER_LATENT, -1, -1)
    if expand_last:
        last = mask[-1:].expand(FRAMES_PER_LATENT, -1, -1)
        frames = torch.cat([first, mask[1:-1], last])
    else:
        frames = torch.cat([first, mask[1:]])
    return frames.view(-1, FRAMES_PER_LATENT, *mask.shape[1:]).transpose(0, 1).contiguous()


def fitted_mask(
    mask: object, num_frames: int, height: int, width: int, *, end: int = 0
) -> tuple[Tensor, list[Adjustment]]:
    """A given mask [F', H, W] in 0..1 at latent size and of `num_frames` frames, and what was changed of it.

    In space it is resized to h, w by the nearest neighbour; in time it is filled with zeros or cut. The last
    `end` frames are those of an end image: that a short mask leaves them unknown is said.
    """
    if not isinstance(mask, Tensor):
        raise ConditioningError(
            f"known_mask is a {type(mask).__name__}; legal is a tensor [{num_frames}, H, W]"
        )
    if mask.ndim != 3 or not mask.numel():
        raise ConditioningError(f"known_mask is {list(mask.shape)}; legal is [{num_frames}, H, W]")
    mask = mask.detach().to("cpu", torch.float32)
    if not bool(((mask >= 0) & (mask <= 1)).all()):
        raise ConditioningError(
            f"known_mask holds values from {mask.min():g} to {mask.max():g}; "
            "legal are numbers from 0 (generate) to 1 (known)"
        )
    resized = torch.nn.functional.interpolate(mask[:, None], size=(height, width), mode="nearest")[:, 0]
    given = resized.shape[0]
    if given == num_frames:
        return resized, []
    if given > num_frames:
        why = "the clip ends before the mask does"
    else:
        why = "frames without a mask are generated" + (", the end image's among them" if end else "")
    adjustment = Adjustment("known_mask", f"{given} frames", f"{num_frames} frames", why)
    missing = resized.new_zeros(max(0, num_frames - given), height, width)
    return torch.cat([resized[:num_frames], missing]), [adjustment]


def empty_frames(mask: Tensor) -> list[bool]:
    """For each frame of a mask [F', h, w], whether it counts as empty: its mean is under 0.5."""
    empty: list[bool] = (mask.mean(dim=(-2, -1)) < 0.5).tolist()
    return empty
