"""The wish to stop."""

from __future__ import annotations

import os
import signal

import pytest

from headless.clock import SystemClock
from headless.shutdown import Shutdown
from tests.worker.fake_clock import FakeClock


def test_grace_counts_from_the_first_request() -> None:
    clock = FakeClock()
    shutdown = Shutdown(clock, grace=30)
    assert shutdown.seconds_left == float("inf")
    shutdown.request()
    clock.advance(10)
    shutdown.request()
    assert shutdown.requested
    assert shutdown.seconds_left == 20


def test_waiting_ends_with_the_request() -> None:
    clock = SystemClock()
    shutdown = Shutdown(clock, grace=0)
    shutdown.request()
    began = clock.monotonic()
    shutdown.wait(60)
    assert clock.monotonic() - began < 5


def test_a_signal_that_nobody_can_be_told_of_is_still_heard(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever read the log may be gone: an error in a signal's handler comes up wherever the engine is."""
    reader, writer = os.pipe()
    os.close(reader)
    with os.fdopen(writer, "w") as stderr:
        monkeypatch.setattr("sys.stderr", stderr)
        shutdown = Shutdown(FakeClock(), grace=30)
        shutdown.install()
        signal.raise_signal(signal.SIGTERM)
    assert shutdown.requested
