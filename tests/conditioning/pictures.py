"""Pixels for tests."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from models.vae import WanVae

HEIGHT, WIDTH = 32, 48


def noise(frames: int, seed: int, height: int = HEIGHT, width: int = WIDTH) -> Tensor:
    """Random pixels [3, frames, H, W] in [-1, 1]."""
    generator = torch.Generator().manual_seed(seed)
    return torch.rand(3, frames, height, width, generator=generator) * 2 - 1


def random_latents(frames: int, seed: int, height: int = HEIGHT // 8, width: int = WIDTH // 8) -> Tensor:
    """Random latents [16, frames, h, w]."""
    return torch.randn(16, frames, height, width, generator=torch.Generator().manual_seed(seed))


def groups(mask: Tensor) -> list[str]:
    """A mask [4, T, h, w] as one word per latent frame: `1111` is known, `0001` its last sub-frame only."""
    return ["".join(f"{value:g}" for value in column) for column in mask.mean(dim=(-2, -1)).T.tolist()]


class Recorder:
    """A real VAE that also keeps what it was given to encode."""

    def __init__(self, vae: WanVae) -> None:
        self.vae = vae
        self.seen: list[list[Tensor]] = []

    def encode(self, video: Tensor | Sequence[Tensor], end_frame: bool = False) -> Tensor:
        self.seen.append([video] if isinstance(video, Tensor) else list(video))
        return self.vae.encode(video, end_frame)
