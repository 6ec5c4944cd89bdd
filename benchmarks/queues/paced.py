"""An engine and a storage that take a set time, with the real ones' interfaces."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path

from headless.adapters.fake_engine import FakeEngine
from headless.adapters.local_storage import LocalStorage
from headless.clock import SystemClock
from headless.ports import ModelRegistry, StoredObject
from headless.segment import EngineListener, Generation, Picture, SegmentRequest

STEPS = 4
"""Denoising steps of every task here."""


@dataclass(frozen=True)
class Pace:
    """Seconds that the engine takes for a task, storage for its picture, and storage for its video."""

    engine: float = 0.1
    fetch: float = 0.05
    upload: float = 0.05


class DeviceClock(SystemClock):
    """Sleeps to a schedule: a device works through what it was given, whoever is slow to hear of a step."""

    def __init__(self) -> None:
        self.busy = 0.0
        """Seconds for which the device has worked since this was last set to 0."""
        self._free_at = time.monotonic()

    def begin(self) -> None:
        """The device, idle so far, is given work now."""
        self._free_at = time.monotonic()

    def sleep(self, seconds: float) -> None:
        """Wait until the device has been busy for so much longer."""
        self.busy += seconds
        self._free_at += seconds
        time.sleep(max(0.0, self._free_at - time.monotonic()))


class PacedEngine(FakeEngine):
    """The fake engine: four fifths of its time for the steps, the rest for the frames, one by one."""

    def __init__(
        self,
        registry: ModelRegistry,
        seconds: float,
        on_begin: Callable[[str], None] = lambda _: None,
        on_end: Callable[[str, float], None] = lambda *_: None,
    ) -> None:
        """`on_begin(prompt)` and `on_end(prompt, device seconds)` are told of every task."""
        self._device = DeviceClock()
        super().__init__(registry, self._device, step_seconds=0.8 * seconds / STEPS)
        self._decoding = 0.2 * seconds
        self._on_begin = on_begin
        self._on_end = on_end

    def generate(self, request: SegmentRequest, listener: EngineListener) -> Generation:
        """As the fake engine, at the set pace."""
        self._on_begin(request.prompt)
        self._device.busy = 0.0
        self._device.begin()
        made = super().generate(request, listener)
        return replace(made, frames=self._paced(made.frames, request))

    def _paced(self, frames: Iterator[Picture], request: SegmentRequest) -> Iterator[Picture]:
        self._device.begin()
        for frame in frames:
            self._device.sleep(self._decoding / request.num_frames)
            yield frame
        self._on_end(request.prompt, self._device.busy)


class PacedStorage(LocalStorage):
    """The local storage at the end of a slow line."""

    def __init__(self, root: Path, pace: Pace) -> None:
        super().__init__(root)
        self._pace = pace

    def put(self, key: str, source: Path, content_type: str) -> StoredObject:
        """The upload of a task takes its time once, with the video."""
        if content_type == "video/mp4":
            time.sleep(self._pace.upload)
        return super().put(key, source, content_type)

    def fetch(self, key: str, destination: Path, limit_bytes: int) -> StoredObject:
        """A fetch takes its time."""
        time.sleep(self._pace.fetch)
        return super().fetch(key, destination, limit_bytes)
