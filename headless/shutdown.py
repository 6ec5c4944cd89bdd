"""The wish to stop. The first signal drains, the second leaves at once."""

from __future__ import annotations

import contextlib
import os
import signal
import sys
from queue import Empty, SimpleQueue
from types import FrameType

from headless.ports import Clock

LEFT_AT_ONCE = 130


class Shutdown:
    """Set by SIGTERM or Ctrl-C: no further claims, and the current task has `grace` seconds left."""

    def __init__(self, clock: Clock, grace: float) -> None:
        self._clock = clock
        self._grace = grace
        self._asked = False
        # A signal may come inside `wait`: this queue can be put to even there, an Event cannot be set.
        self._wake: SimpleQueue[None] = SimpleQueue()
        self._deadline = float("inf")

    @property
    def requested(self) -> bool:
        """Whether the worker was asked to stop."""
        return self._asked

    @property
    def seconds_left(self) -> float:
        """How long the current task may still take; infinite before the request."""
        return self._deadline - self._clock.monotonic()

    def request(self) -> None:
        """Ask the worker to stop; the grace time begins now."""
        if not self._asked:
            self._deadline = self._clock.monotonic() + self._grace
            self._asked = True
            self._wake.put(None)

    def wait(self, seconds: float) -> None:
        """Wait, but no longer than until the request."""
        with contextlib.suppress(Empty):
            self._wake.put(self._wake.get(timeout=seconds))

    def install(self) -> None:
        """Listen to SIGTERM and SIGINT."""
        signal.signal(signal.SIGTERM, self._on_signal)
        signal.signal(signal.SIGINT, self._on_signal)

    def _on_signal(self, number: int, frame: FrameType | None) -> None:  # noqa: ARG002 - the signal module's signature
        if self._asked:
            _say(b"leaving at once; the task is taken over when its lease ends\n")
            os._exit(LEFT_AT_ONCE)
        self.request()  # First: another signal may come while the line is written.
        _say(b"stopping: finishing or giving back the current task; again to leave at once\n")


def _say(line: bytes) -> None:
    """On stderr, if anybody still reads it: an error here would come up wherever the engine is."""
    with contextlib.suppress(OSError, ValueError):
        os.write(sys.stderr.fileno(), line)
