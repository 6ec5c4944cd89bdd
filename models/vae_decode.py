"""The decoder, run latent frame by latent frame from outside, so that pixels can be used as they come."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import torch
from diffusers.models.autoencoders.autoencoder_kl_wan import WanCausalConv3d
from torch import Tensor

from models.vae_tiles import assemble, pixel_grid
from wan2gp_patch.frames import PIXELS_PER_LATENT, frame_count


@torch.no_grad()
def decoded_chunks(module: Any, latents: Tensor, *, end_frame: bool) -> Iterator[Tensor]:
    """Yield pixels [1, 3, t, H, W] in [-1, 1] for latents [1, z, T, h, w]: 1 frame, then 4 at a time.

    In end-frame mode the last latent frame begins afresh and gives 1 frame. Besides the latents and one
    chunk, only the decoder's caches live: memory does not grow with T.
    """
    count = latents.shape[2]
    frame_count(count, end_frame=end_frame)
    height, width = (size * PIXELS_PER_LATENT for size in latents.shape[-2:])
    grid = pixel_grid(module, height, width)
    if grid is None:
        planes = _planes(module, module.post_quant_conv(latents), count, end_frame=end_frame)
    else:
        areas = grid.scaled(1, PIXELS_PER_LATENT).rows()
        rows = [
            [_planes_of_tile(module, latents[..., *area], count, end_frame) for area in row] for row in areas
        ]
        planes = (
            assemble(module, [[next(tile) for tile in row] for row in rows], grid) for _ in range(count)
        )
    for plane in planes:
        yield plane.clamp(-1.0, 1.0)


def _planes(module: Any, latents: Tensor, count: int, *, end_frame: bool) -> Iterator[Tensor]:
    """Decode one area, latent frame by latent frame. `latents` have been through the first convolution."""
    caches = sum(isinstance(part, WanCausalConv3d) for part in module.decoder.modules())
    cache: list[Any] = [None] * caches
    for i in range(count):
        first = i == 0 or (end_frame and i == count - 1)
        if first:
            cache = [None] * caches
        yield module.decoder(latents[:, :, i : i + 1], feat_cache=cache, feat_idx=[0], first_chunk=first)


def _planes_of_tile(module: Any, latents: Tensor, count: int, end_frame: bool) -> Iterator[Tensor]:
    frames = (module.post_quant_conv(latents[:, :, i : i + 1]) for i in range(count))
    return _planes(module, torch.cat(list(frames), dim=2), count, end_frame=end_frame)
