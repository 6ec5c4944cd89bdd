"""Clips of the constructed tiny model that help to set the thresholds: what a decoder makes, good and bad."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from headless.engine.wan import WanEngine
from headless.job_listener import SilentListener
from headless.segment import Clip, Picture
from models.registry import load_models_def
from tests.tools.constructed import CONSTRUCTED
from tests.tools.small_requests import small_request

ROOT = Path(__file__).resolve().parent.parent.parent


@dataclass(frozen=True)
class TinyClip:
    """Its frames, what stands for its end image, and the pictures that were given, if any."""

    frames: Clip
    end: Picture | None = None
    start_image: Picture | None = None
    end_image: Picture | None = None


def disc(colour: tuple[int, int, int], *, mirrored: bool = False) -> Picture:
    """A disc on a gradient, 64x64."""
    y, x = np.mgrid[0:64, 0:64]
    shade = (255 * x / 63).astype(np.uint8)
    image = np.stack([shade, shade[::-1], 255 - shade], axis=-1)
    image[(y - 32) ** 2 + (x - 32) ** 2 < 256] = colour
    return image[:, ::-1] if mirrored else image


def tiny_clips() -> dict[str, TinyClip]:
    """Name -> clip of 17 frames, 64x64, 4 steps, seed 7; they take a few seconds on one core."""
    start, end = disc((200, 60, 40)), disc((0, 255, 0), mirrored=True)
    engine = WanEngine(load_models_def(ROOT / "configs"), [CONSTRUCTED], device="cpu")
    return {
        "tiny model, start and end": _generated(engine, start, end),
        "tiny model, no images": _generated(engine, None, None),
    }


def _generated(engine: WanEngine, start: Picture | None, end: Picture | None) -> TinyClip:
    request = small_request(
        prompt="a disc over the sea", num_frames=17, steps=4, start_image=start, end_image=end
    )
    generation = engine.generate(request, SilentListener())
    frames = np.stack(list(generation.frames))
    return TinyClip(frames, generation.end_frame(), start, end)
