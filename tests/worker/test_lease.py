"""The lease: renewed in time, throttled, and the road on which a cancellation comes in."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from dataclasses import replace

import pytest

from headless.errors import Cancelled, LeaseLost
from headless.lease import Lease
from headless.task import CancelAnswer, Capability, Claim, FencedAnswer, Phase, Progress, RenewAnswer
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


def _step(step: int, percent: float) -> Progress:
    return Progress(Phase.DENOISING, step=step, steps=100, percent=percent)


def test_a_new_phase_reaches_the_queue_at_once(queue: SignallingQueue, clock: FakeClock) -> None:
    claim = queue.claimed()
    with Lease(queue, claim, clock) as lease:
        lease.report(Progress(Phase.ENCODING, percent=5))
        queue.wait_for_renewals(1)
    view = queue.get(claim.task_id)
    assert view is not None
    assert view.phase == "encoding"


def test_small_steps_are_not_worth_a_call(queue: SignallingQueue, clock: FakeClock) -> None:
    with Lease(queue, queue.claimed(), clock) as lease:
        lease.report(_step(0, 10))
        queue.wait_for_renewals(1)
        for step in range(1, 40):
            lease.report(_step(step, 10 + step * 0.04))
        lease.report(_step(40, 12.5))
        queue.wait_for_renewals(2)
    assert [p.step for p in queue.renewals] == [0, 40]


def test_two_seconds_are_worth_a_call(queue: SignallingQueue, clock: FakeClock) -> None:
    queue.lease_seconds = 60
    with Lease(queue, queue.claimed(), clock) as lease:
        lease.report(_step(0, 10))
        queue.wait_for_renewals(1)
        clock.advance(2)
        lease.report(_step(1, 10.1))
        queue.wait_for_renewals(2)
    assert [p.step for p in queue.renewals] == [0, 1]


def test_the_lease_is_renewed_without_progress(queue: SignallingQueue, clock: FakeClock) -> None:
    claim = queue.claimed()
    beats = threading.Event()
    with Lease(queue, claim, clock, beats.set):
        for count in range(1, 5):
            clock.advance(0.2)
            queue.wait_for_renewals(count)
    assert beats.is_set()
    assert queue.claim("worker-2", "other", Capability()) is None


def test_a_cancellation_comes_in_with_the_next_renewal(queue: SignallingQueue, clock: FakeClock) -> None:
    claim = queue.claimed()
    with Lease(queue, claim, clock) as lease:
        lease.check()
        assert queue.cancel(claim.task_id) is CancelAnswer.REQUESTED
        lease.report(Progress(Phase.DENOISING))
        _until(lease, Cancelled)


def test_another_owner_ends_the_lease(queue: SignallingQueue, clock: FakeClock) -> None:
    claim = queue.claimed()
    with Lease(queue, claim, clock) as lease:
        _take_over(queue, clock, claim)
        _until(lease, LeaseLost)
    assert queue.fail(claim.task_id, claim.attempt, "X", "y", retry=False) is FencedAnswer.LOST


def test_a_queue_out_of_reach_is_tried_again(queue: SignallingQueue, clock: FakeClock) -> None:
    queue.out_of_reach = True
    with Lease(queue, queue.claimed(), clock) as lease:
        lease.report(Progress(Phase.FETCHING))
        queue.wait_for_renewals(1)
        lease.check()
        queue.out_of_reach = False
        clock.advance(0.2)
        queue.wait_for_renewals(2)
        lease.check()


def test_a_preview_travels_with_the_next_report(queue: SignallingQueue, clock: FakeClock) -> None:
    claim = queue.claimed()
    with Lease(queue, claim, clock) as lease:
        lease.show_preview("outputs/local/x/1/preview-0001.webp")
        lease.report(Progress(Phase.DENOISING, percent=20))
        queue.wait_for_renewals(1)
        assert lease.progress.preview_key == "outputs/local/x/1/preview-0001.webp"
    view = queue.get(claim.task_id)
    assert view is not None
    assert view.preview_location == "outputs/local/x/1/preview-0001.webp"


def _take_over(queue: SignallingQueue, clock: FakeClock, claim: Claim) -> None:
    """Another worker claims the task in the moment in which its lease has run out."""
    clock.advance(1)
    while (other := queue.claim("worker-2", "other", Capability())) is None:
        clock.advance(1)
    assert other.task_id == claim.task_id
    assert other.attempt > claim.attempt


def _until(lease: Lease, error: type[Exception]) -> None:
    stop = threading.Event()
    for _ in range(int(PATIENCE / 0.01)):
        try:
            lease.check()
        except error:
            return
        stop.wait(0.01)
    raise AssertionError(f"no {error.__name__}")


def test_a_bug_in_a_renewal_does_not_end_the_renewals(
    queue: SignallingQueue, clock: FakeClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    claim, renew, bugs = queue.claimed(), queue.renew, iter([ValueError("not an answer")])

    def renew_with_a_bug(task_id: str, attempt: int, progress: Progress) -> RenewAnswer:
        answer = renew(task_id, attempt, progress)
        if (bug := next(bugs, None)) is not None:
            raise bug
        return answer

    monkeypatch.setattr(queue, "renew", renew_with_a_bug)
    with Lease(queue, claim, clock) as lease:
        lease.report(Progress(Phase.LOADING))
        queue.wait_for_renewals(1)
        lease.report(Progress(Phase.ENCODING))
        queue.wait_for_renewals(2)
        lease.check()


def test_the_engine_can_wait_until_the_queue_knows_who_has_it(
    queue: SignallingQueue, clock: FakeClock
) -> None:
    claim = queue.claimed()
    queue.lease_seconds = 60
    with Lease(queue, claim, clock) as lease:
        lease.report(Progress(Phase.FETCHING, percent=5, waiting=True))
        queue.wait_for_renewals(1)
        lease.report(Progress(Phase.LOADING, percent=5))
        assert lease.make_known()
        view = queue.get(claim.task_id)
        assert view is not None
        assert (view.phase, view.progress.get("waiting")) == ("loading", None)


def test_a_queue_that_does_not_answer_does_not_keep_the_engine(
    queue: SignallingQueue, clock: FakeClock
) -> None:
    with Lease(queue, queue.claimed(), clock) as lease:
        lease.report(Progress(Phase.FETCHING, percent=5, waiting=True))
        queue.wait_for_renewals(1)
        queue.out_of_reach = True
        lease.report(Progress(Phase.LOADING, percent=5))
        assert not lease.make_known()


def test_a_lost_task_does_not_keep_the_engine(queue: SignallingQueue, clock: FakeClock) -> None:
    claim = queue.claimed()
    queue.cancel(claim.task_id)
    with Lease(queue, replace(claim, attempt=99, lease_seconds=600), clock) as lease:
        lease.report(Progress(Phase.FETCHING, percent=5, waiting=True))
        queue.wait_for_renewals(1)
        lease.report(Progress(Phase.LOADING, percent=5))
        assert lease.make_known()
        with pytest.raises(LeaseLost):
            lease.check()
