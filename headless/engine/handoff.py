"""The sampled latents of a clip as a file, for the clip that continues it."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Final

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

from headless.errors import BadInput

FORMAT: Final = "wan21-latents-1"
"""Normalised latents of Wan 2.1's VAE, float32 [16, T, h, w], under the name `latents`."""

ABOUT: Final = "handoff"
"""The one entry of the file's metadata: a JSON object."""


def save_latents(path: Path, latents: Tensor, about: Mapping[str, str]) -> None:
    """Write latents [16, T, h, w] and what they are. The bytes depend on nothing else."""
    tensor = latents.to("cpu", torch.float32).contiguous()
    # One entry: the library writes several in an order that changes from run to run.
    save_file({"latents": tensor}, path, metadata={ABOUT: _told(about)})


def _told(about: Mapping[str, str]) -> str:
    return json.dumps({"format": FORMAT, **about}, sort_keys=True)


def load_latents(path: Path, *, height: int, width: int, about: Mapping[str, str] | None = None) -> Tensor:
    """Latents [16, T, h, w] for a clip of height x width pixels. Raises `BadInput`.

    `about`: what `save_latents` must have been told, where they are to be those of one certain clip.
    """
    try:
        with safe_open(str(path), framework="pt") as file:
            told = str((file.metadata() or {}).get(ABOUT))
            latents: Tensor = file.get_tensor("latents")
    except (OSError, SafetensorError) as error:
        raise BadInput(f"continue_from: {path.name} holds no latents that can be read ({error})") from error
    if about is not None and told != _told(about):
        raise BadInput(f"continue_from: {path.name} holds the latents of another clip; delete that file")
    expected = (height // 8, width // 8)
    if FORMAT not in told or latents.ndim != 4 or latents.shape[0] != 16:
        raise BadInput(f"continue_from: {path.name} is not a hand-off file of this worker ({FORMAT})")
    if tuple(latents.shape[2:]) != expected:
        made = f"{latents.shape[3] * 8}x{latents.shape[2] * 8}"
        raise BadInput(f"continue_from: its latents are of a {made} clip, and this one is {width}x{height}")
    if not bool(torch.isfinite(latents).all()):
        raise BadInput(f"continue_from: {path.name} holds numbers that are not finite")
    return latents.float()
