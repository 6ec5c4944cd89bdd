"""A process that lives is not a process that moves."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from headless.adapters.local_storage import LocalStorage
from headless.job_listener import JobListener
from headless.lease import Lease
from headless.previews import Previews
from headless.shutdown import Shutdown
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


def test_an_engine_that_says_nothing_at_all_hangs_too(clock: FakeClock) -> None:
    watchdog = Watchdog(clock)
    clock.advance(10_000)
    assert watchdog.stalled_for() is None, "nobody asked the engine for anything"
    watchdog.listen(True)
    clock.advance(1700)
    watchdog.hear()
    clock.advance(1700)
    assert watchdog.stalled_for() is None
    clock.advance(101)
    assert watchdog.stalled_for() == 1801
    watchdog.listen(False)
    watchdog.hear()
    clock.advance(10_000)
    assert watchdog.stalled_for() is None


@pytest.mark.parametrize(
    ("phase", "watched"),
    [
        (Phase.FETCHING, False),
        (Phase.LOADING, True),
        (Phase.ENCODING, True),
        (Phase.DENOISING, True),
        (Phase.DECODING, True),
        (Phase.CHECKING, False),
        (Phase.UPLOADING, False),
    ],
)
def test_the_engine_is_listened_to_in_its_phases(
    queue: SignallingQueue, clock: FakeClock, tmp_path: Path, phase: Phase, watched: bool
) -> None:
    """A frame or a word of the engine is a sign of life; a task that waits for it has none to give."""
    claim = queue.claimed()
    watchdog = Watchdog(clock)
    shutdown = Shutdown(clock, 30)
    with Previews(LocalStorage(tmp_path), clock, tmp_path, "outputs/a", lambda _: None) as previews:
        listener = JobListener(Lease(queue, claim, clock), shutdown, previews, clock, watchdog)
        listener.on_phase(phase)
        clock.advance(1700)
        listener.on_share(1, 2)
        clock.advance(1700)
        assert watchdog.stalled_for() is None
        clock.advance(101)
        assert (watchdog.stalled_for() is not None) is watched


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
