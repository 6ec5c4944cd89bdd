"""The seam to the VAE: what the conditioning needs of it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from torch import Tensor


class VideoEncoder(Protocol):
    """Turns pixels into normalised latents."""

    def encode(self, video: Tensor | Sequence[Tensor], end_frame: bool = False) -> Tensor:
        """Latents, float32 [16, T, h, w], of pixels [3, t, H, W] in [-1, 1] or of parts in order of time.

        With `end_frame` the last frame is encoded alone, with empty caches, and has a latent of its own.
        """
