"""The decoder, run latent frame by latent frame from outside, so that pixels can be used as they come."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import torch
from diffusers.models.autoencoders.autoencoder_kl_wan import WanCausalConv3d
from torch import Tensor

from models.vae_tiles import TileGrid, assemble, pixel_grid
from wan2gp_patch.frames import PIXELS_PER_LATENT


@torch.no_grad()
def decoded_chunks(module: Any, latents: Tensor, *, end_frame: bool) -> Iterator[Tensor]:
    """Yield pixels [1, 3, t, H, W] in [-1, 1] for latents [1, z, T, h, w]: 1 frame, then 4 at a time.

    In end-frame mode the last latent frame is decoded as a clip of its own and gives 1 frame. Besides the
    latents and one chunk, only the decoder's caches live: memory does not grow with T.
    """
    height, width = (size * PIXELS_PER_LATENT for size in latents.shape[-2:])
    grid = pixel_grid(module, height, width)
    for part in (latents[:, :, :-1], latents[:, :, -1:]) if end_frame else (latents,):
        for plane in _planes(module, part) if grid is None else _tiled_planes(module, part, grid):
            yield plane.clamp(-1.0, 1.0)


def _planes(module: Any, latents: Tensor) -> Iterator[Tensor]:
    return _decoded(module, module.post_quant_conv(latents))


def _tiled_planes(module: Any, latents: Tensor, grid: TileGrid) -> Iterator[Tensor]:
    """All tiles of one latent frame, then all of the next: every tile keeps its own caches."""
    rows = [
        [_tile(module, latents[..., *area]) for area in row]
        for row in grid.scaled(1, PIXELS_PER_LATENT).rows()
    ]
    for _ in range(latents.shape[2]):
        yield assemble(module, [[next(tile) for tile in row] for row in rows], grid)


def _tile(module: Any, latents: Tensor) -> Iterator[Tensor]:
    frames = [module.post_quant_conv(latents[:, :, i : i + 1]) for i in range(latents.shape[2])]
    return _decoded(module, torch.cat(frames, dim=2))


def _decoded(module: Any, latents: Tensor) -> Iterator[Tensor]:
    """Decode one area, latent frame by latent frame. `latents` have been through the first convolution."""
    cache: list[Any] = [None] * sum(isinstance(part, WanCausalConv3d) for part in module.decoder.modules())
    for i in range(latents.shape[2]):
        frame = latents[:, :, i : i + 1]
        yield module.decoder(frame, feat_cache=cache, feat_idx=[0], first_chunk=i == 0)
