"""The engine on the shipped tiny model."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
import pytest
import torch

from headless.engine.wan import WanEngine
from headless.segment import Clip, Generation, Picture, SegmentRequest
from headless.task import Phase
from models.registry import Registry, load_models_def
from tests.tools.constructed import CONSTRUCTED
from tests.tools.small_requests import small_request

ROOT = Path(__file__).resolve().parent.parent.parent


@dataclass
class Heard:
    """An `EngineListener` that remembers everything, and calls `on` at every event."""

    phases: list[Phase] = field(default_factory=list)
    steps: list[tuple[int, int]] = field(default_factory=list)
    previews: list[Picture] = field(default_factory=list)
    on: Callable[[str], None] = lambda event: None

    def on_phase(self, phase: Phase) -> None:
        self.phases.append(phase)
        self.on(phase.value)

    def on_step(self, step: int, steps: int, preview: Callable[[], Picture] | None) -> None:
        self.steps.append((step, steps))
        if preview is not None:
            self.previews.append(preview())
        self.on(f"step {step}")


@dataclass
class ScriptedAllocator:
    """An `Allocator` whose memory runs out at these points, in this order, once each."""

    script: list[str]
    room: int | None = None
    begun: list[str] = field(default_factory=list)

    def free(self) -> int | None:
        return self.room

    def begin(self, point: str) -> None:
        self.begun.append(point)
        if self.script and point == self.script[0]:
            self.script.pop(0)
            raise torch.OutOfMemoryError(f"scripted: {point}")

    def peak(self) -> int | None:
        return len(self.begun)

    def reset(self) -> None:
        self.begun.append("reset")


@pytest.fixture
def registry() -> Registry:
    return load_models_def(ROOT / "configs")


@pytest.fixture
def engine(registry: Registry) -> WanEngine:
    return WanEngine(registry, [CONSTRUCTED], device="cpu")


def picture(height: int = 64, width: int = 64, *, colour: tuple[int, int, int] = (200, 60, 40)) -> Picture:
    """A bright disc on a gradient: recognisable after the tiny VAE has blurred it."""
    y, x = np.mgrid[0:height, 0:width]
    shade = (255 * x / max(width - 1, 1)).astype(np.uint8)
    image = np.stack([shade, shade[::-1], 255 - shade], axis=-1)
    image[(y - height / 2) ** 2 + (x - width / 2) ** 2 < (min(height, width) / 4) ** 2] = colour
    return image.astype(np.uint8)


REQUEST = small_request(
    prompt="a red disc over the sea", negative_prompt="blurry", steps=4, start_image=picture()
)


def request(**changes: object) -> SegmentRequest:
    return replace(REQUEST, **changes)  # type: ignore[arg-type]  # replace() checks the names at run time


def frames_of(generation: Generation) -> Clip:
    return np.stack(list(generation.frames))
