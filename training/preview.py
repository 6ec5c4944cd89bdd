"""The linear map from latents to colours that a preview uses, fitted to the world."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Final

import torch
from torch.nn import functional

from headless.engine.preview import FACTORS_FILE
from training.cases import WholeClipEncoder
from training.world import SIZES, draw, make_scene

CLIPS: Final = 16


@torch.no_grad()
def fit_preview(encoder: WholeClipEncoder, clips: int = CLIPS) -> tuple[list[list[float]], list[float]]:
    """Factors [16][3] and bias [3], by least squares: normalised latents to the mean colour of 8x8 pixels."""
    latents, colours = [], []
    for seed in range(clips):
        clip = draw(make_scene(seed, *SIZES[seed % len(SIZES)]), 0, 17)
        latents.append(encoder.encode(clip).flatten(1).T)
        last_of_each = clip[:, ::4].transpose(0, 1)
        colours.append(functional.avg_pool2d(last_of_each, 8).transpose(0, 1).flatten(1).T)
    told = torch.cat(latents)
    told = torch.cat([told, torch.ones(len(told), 1)], dim=1)
    solved = torch.linalg.lstsq(told, torch.cat(colours)).solution
    return solved[:-1].tolist(), solved[-1].tolist()


def save_preview(folder: Path, factors: list[list[float]], bias: list[float]) -> None:
    """Beside the VAE, where the engine looks for it."""
    content = {"factors": factors, "bias": bias}
    (folder / FACTORS_FILE).write_text(json.dumps(content, indent=1, sort_keys=True) + "\n", encoding="utf-8")
