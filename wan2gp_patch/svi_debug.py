"""The `[SVI_DEBUG]` lines. Nothing is computed for them unless the logger `svi` is at DEBUG."""

from __future__ import annotations

import logging
from collections.abc import Mapping

from torch import Tensor

from wan2gp_patch.conditioning import Conditioning
from wan2gp_patch.frames import PIXELS_PER_LATENT, model_latents

LOGGER_NAME = "svi"
PREFIX = "[SVI_DEBUG]"


def describe_conditioning(
    path: str, conditioning: Conditioning, *, start: int, end: int, inputs: Mapping[str, Tensor | None]
) -> None:
    """Log what went into a conditioning and what came out. `start`, `end`: pixel frames that are given."""
    log = logging.getLogger(LOGGER_NAME)
    if not log.isEnabledFor(logging.DEBUG):
        return
    mode, frames = conditioning.end_frame_mode, conditioning.num_frames
    height, width = (PIXELS_PER_LATENT * size for size in conditioning.latents.shape[2:])
    empty = conditioning.decoded_frames - start - end
    expected = model_latents(frames, mode)
    known = conditioning.mask.mean(dim=(-2, -1))
    log.debug("%s path=%s F=%d H=%d W=%d end_frame_mode=%s", PREFIX, path, frames, height, width, mode)
    log.debug("%s frames start=%d empty=%d end=%d", PREFIX, start, empty, end)
    for name, tensor in (*inputs.items(), ("latents", conditioning.latents), ("mask", conditioning.mask)):
        log.debug("%s %s=%s", PREFIX, name, _shape_and_range(tensor))
    log.debug("%s latents expected=%d got=%d", PREFIX, expected, conditioning.latents.shape[1])
    log.debug("%s mask known=%d of %d sub-frames", PREFIX, int((known >= 0.5).sum()), known.numel())
    for adjustment in conditioning.adjustments:
        log.debug("%s adjusted %s", PREFIX, adjustment.as_json())


def _shape_and_range(tensor: Tensor | None) -> str:
    if tensor is None:
        return "none"
    span = f" {tensor.min():.4f}..{tensor.max():.4f}" if tensor.numel() else ""
    return f"{list(tensor.shape)} {tensor.dtype}{span} on {tensor.device}"
