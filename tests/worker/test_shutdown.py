"""The wish to stop."""

from __future__ import annotations

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
