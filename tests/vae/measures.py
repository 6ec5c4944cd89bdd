"""Pixels, diffusers' own answers and operation counts, for the tests of the VAE."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor
from torch.utils.flop_counter import FlopCounterMode

from models.vae import WanVae

HEIGHT, WIDTH = 16, 16


def noise(frames: int, seed: int = 0, height: int = HEIGHT, width: int = WIDTH) -> Tensor:
    """Random pixels [3, frames, H, W] in [-1, 1]."""
    generator = torch.Generator().manual_seed(seed)
    return torch.rand(3, frames, height, width, generator=generator) * 2 - 1


def grey(frames: int, height: int = HEIGHT, width: int = WIDTH) -> Tensor:
    """Mid-grey, one frame repeated."""
    return torch.zeros(3, 1, height, width).expand(-1, frames, -1, -1)


def encoded_by_diffusers(vae: WanVae, video: Tensor) -> Tensor:
    """Normalised latents from diffusers' own `encode`."""
    with torch.no_grad():
        mode = vae.module.encode(video[None].to(vae.dtype)).latent_dist.mode()
    return vae.normalise(mode[0].float())


def flops(work: Callable[[], object]) -> int:
    """Floating-point operations of the convolutions and matrix products in `work`."""
    with FlopCounterMode(display=False) as counter:
        work()
    return int(counter.get_total_flops())
