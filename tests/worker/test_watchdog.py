"""A process that lives is not a process that moves."""

from __future__ import annotations

import threading
from collections.abc import Iterator

import pytest

from headless.lease import Lease
from headless.task import Phase, Progress
from headless.watchdog import MEDIAN_STEPS, Watchdog
from tests.worker.fake_clock import FakeClock
from tests.worker.signalling_queue import PATIENCE, SignallingQueue


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture
def queue(clock: FakeClock) -> Iterator[SignallingQueue]:
    made = SignallingQueue(clock, lease_seconds=0.3)
    yield made
    made.close()


def _stepped(clock: FakeClock, *durations: float, floor: float = 1.0) -> Watchdog:
    watchdog = Watchdog(clock, floor)
    watchdog.begin()
    for duration in durations:
        clock.advance(duration)
        watchdog.step()
    return watchdog


def test_the_median_step_decides(clock: FakeClock) -> None:
    watchdog = _stepped(clock, 60, 2, 2, 2)
    clock.advance(2 * MEDIAN_STEPS)
    assert watchdog.stalled_for() is None
    clock.advance(0.5)
    assert watchdog.stalled_for() == pytest.approx(2 * MEDIAN_STEPS + 0.5)


def test_the_floor_protects_quick_steps(clock: FakeClock) -> None:
    watchdog = _stepped(clock, 0.1, 0.1, 0.1, floor=30)
    clock.advance(29)
    assert watchdog.stalled_for() is None
    clock.advance(2)
    assert watchdog.stalled_for() is not None


def test_the_first_steps_may_take_as_long_as_they_like(clock: FakeClock) -> None:
    watchdog = _stepped(clock, 1)
    clock.advance(10_000)
    assert watchdog.stalled_for() is None


def test_only_denoising_is_watched(clock: FakeClock) -> None:
    watchdog = _stepped(clock, 1, 1, 1)
    watchdog.end()
    clock.advance(10_000)
    assert watchdog.stalled_for() is None


def test_a_hanging_engine_is_told_to_the_queue_and_then_left(
    queue: SignallingQueue, clock: FakeClock
) -> None:
    claim = queue.claimed()
    watchdog = _stepped(clock, 1, 1, 1)
    left = threading.Event()
    with Lease(queue, claim, clock, watchdog=watchdog, on_stalled=left.set) as lease:
        lease.report(Progress(Phase.DENOISING, step=3, steps=9))
        queue.wait_for_renewals(1)
        assert not left.is_set()
        clock.advance(60)
        assert left.wait(PATIENCE)
    view = queue.get(claim.task_id)
    assert view is not None
    assert view.progress["stalled"] is True
