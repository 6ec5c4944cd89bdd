"""Notices that the engine has stopped moving although the process lives: a hung kernel, a dead driver."""

from __future__ import annotations

import statistics
import threading

from headless.ports import Clock

STEPS_NEEDED = 2
"""Steps that must have been seen before a time can be called too long: the first may compile."""
MEDIAN_STEPS = 8.0
DEFAULT_FLOOR = 60.0
SILENCE = 1800.0
"""Seconds after which an engine that says nothing at all hangs, whatever it is at. Weights may take ten
minutes to load."""


class Watchdog:
    """Fed with steps by the engine's thread, asked by the lease's.

    A run is stalled when no step ended for longer than 8 median steps, and than `floor` seconds. Only
    denoising has such a rhythm; elsewhere the engine may be silent for `silence` seconds.
    """

    def __init__(self, clock: Clock, floor: float = DEFAULT_FLOOR, silence: float = SILENCE) -> None:
        self._clock = clock
        self._floor = floor
        self._lock = threading.Lock()
        self._steps: list[float] = []
        self._last: float | None = None
        self._silence = silence
        self._heard: float | None = None

    def listen(self, to_the_engine: bool) -> None:
        """Whether the engine is at work from now on."""
        with self._lock:
            self._heard = self._clock.monotonic() if to_the_engine else None

    def hear(self) -> None:
        """The engine has said something."""
        with self._lock:
            if self._heard is not None:
                self._heard = self._clock.monotonic()

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
        """Seconds since the last step, or word, if that is too long, else `None`."""
        with self._lock:
            silent = 0.0 if self._heard is None else self._clock.monotonic() - self._heard
            if silent > self._silence:
                return silent
            if self._last is None or len(self._steps) < STEPS_NEEDED:
                return None
            quiet = self._clock.monotonic() - self._last
            limit = max(self._floor, MEDIAN_STEPS * statistics.median(self._steps))
            return quiet if quiet > limit else None
