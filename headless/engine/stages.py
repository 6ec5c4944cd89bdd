"""The stages of a run: their seconds, the most memory they took, and which one it was that ran out of it."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch

from headless.engine.failures import memory_reported
from headless.engine.ladder import Ladder


class Stages:
    """Measures the stages of one run and keeps `details` up to date with what it finds."""

    def __init__(self, ladder: Ladder, device: torch.device, details: dict[str, Any]) -> None:
        self._ladder = ladder
        self._device = device
        self._details = details
        self._timings: dict[str, float] = {}
        self._point = ""

    @contextmanager
    def measured(self, stage: str) -> Iterator[None]:
        """Add up the seconds of a stage. Raises `RanOut` that names its last point if the memory runs out."""
        began = time.perf_counter()
        with memory_reported(lambda: self._point, self._ladder.loaded.plan):
            self.begin(stage)
            yield
            if self._device.type == "cuda":
                torch.cuda.synchronize(self._device)
        self._timings[stage] = self._timings.get(stage, 0.0) + time.perf_counter() - began
        self._details["timings"] = {name: round(seconds, 4) for name, seconds in self._timings.items()}
        peak = self._ladder.allocator.peak()
        if peak is not None:
            self._details["peak_bytes"] = peak

    def begin(self, point: str) -> None:
        """A point within a stage, such as `step 3`."""
        self._point = point
        self._ladder.allocator.begin(point)
