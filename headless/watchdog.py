"""Notices that denoising has stopped moving although the process lives: a hung kernel, a dead driver."""

from __future__ import annotations

import statistics
import threading

from headless.ports import Clock

STEPS_NEEDED = 2
"""Steps that must have been seen before a time can be called too long: the first may compile."""
MEDIAN_STEPS = 8.0
DEFAULT_FLOOR = 60.0


class Watchdog:
    """Fed with steps by the engine's thread, asked by the lease's.

    A run is stalled when no step ended for longer than 8 median steps, and than `floor` seconds. Only
    denoising is watched: nothing else has a rhythm.
    """

    def __init__(self, clock: Clock, floor: float = DEFAULT_FLOOR) -> None:
        self._clock = clock
        self._floor = floor
        self._lock = threading.Lock()
        self._steps: list[float] = []
        self._last: float | None = None

    def begin(self) -> None:
        """Denoising begins."""
        with self._lock:
            self._steps, self._last = [], self._clock.monotonic()

    def step(self) -> None:
        """A step has ended."""
        with self._lock:
            now = self._clock.monotonic()
            if self._last is not None:
                self._steps.append(now - self._last)
            self._last = now

    def end(self) -> None:
        """Denoising is over."""
        with self._lock:
            self._last = None

    def stalled_for(self) -> float | None:
        """Seconds since the last step if that is too long, else `None`."""
        with self._lock:
            if self._last is None or len(self._steps) < STEPS_NEEDED:
                return None
            quiet = self._clock.monotonic() - self._last
            limit = max(self._floor, MEDIAN_STEPS * statistics.median(self._steps))
            return quiet if quiet > limit else None
