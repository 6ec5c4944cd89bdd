"""When the loop looks, rests and stops."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator

import pytest

from headless.adapters.fake_engine import FakeEngine
from headless.errors import DiskFull, QueueUnavailable
from headless.loop import LoopPolicy, WorkLoop
from headless.settle import Outcome, Settled
from headless.shutdown import Shutdown
from headless.task import Capability, Claim, NewTask
from headless.wiring import SHIPPED_CONFIGS
from models.registry import load_models_def
from tests.worker.fake_clock import FakeClock
from tests.worker.signalling_queue import PATIENCE, SignallingQueue


class Rig:
    """A loop over a real queue whose tasks end as `end` says."""

    def __init__(self) -> None:
        self.clock = FakeClock()
        self.queue = SignallingQueue(self.clock)
        self.shutdown = Shutdown(self.clock, grace=30)
        self.ran: list[str] = []
        self.log: list[str] = []
        self.beats = 0
        self.end: Callable[[Claim], Settled] = self.complete

    def complete(self, claim: Claim) -> Settled:
        self.queue.complete(claim.task_id, claim.attempt, f"{claim.output_prefix}/video.mp4", "0" * 64, {})
        return Settled(Outcome.DONE)

    def prepare(self, claim: Claim) -> Claim | Settled:
        return claim

    def generate(self, run: Claim, nearly_done: Callable[[float], None]) -> str | Settled:
        self.ran.append(run.task_id)
        self.log.append(f"began {run.task_id}")
        nearly_done(60.0)
        settled = self.end(run)
        return run.task_id if settled.outcome is Outcome.DONE else settled

    def publish(self, run: Claim, made: str) -> Settled:
        self.log.append(f"published {made}")
        return Settled(Outcome.DONE)

    def abandon(self, run: Claim) -> Settled:
        self.queue.release(run.task_id, run.attempt, "abandoned")
        return Settled(Outcome.RELEASED)

    def beat(self) -> None:
        self.beats += 1

    def loop(self, *, until_idle: bool = False, once: bool = False) -> WorkLoop[Claim, str]:
        engine = FakeEngine(load_models_def(SHIPPED_CONFIGS), self.clock)
        policy = LoopPolicy(busy=0.001, idle=0.002, until_idle=until_idle, once=once)
        return WorkLoop(self.queue, engine, self, self.shutdown, self.clock, "w", policy, self.beat)


@pytest.fixture
def rig() -> Iterator[Rig]:
    made = Rig()
    yield made
    made.queue.close()


def _queue(rig: Rig, count: int) -> list[str]:
    return [rig.queue.enqueue(NewTask(params={"prompt": str(n)})) for n in range(count)]


def test_until_idle_runs_everything_in_order(rig: Rig) -> None:
    ids = _queue(rig, 3)
    assert rig.loop(until_idle=True).run() == 0
    assert rig.ran == ids
    assert rig.beats >= 3


def test_until_idle_waits_for_a_task_that_is_not_due(rig: Rig) -> None:
    rig.queue.enqueue(NewTask(params={"prompt": "later"}, run_after_seconds=50))

    class Hurried(SignallingQueue):
        """The same queue; each empty look lets ten seconds pass."""

        def claim(self, worker_id: str, claim_id: str, capability: Capability) -> Claim | None:
            claim = super().claim(worker_id, claim_id, capability)
            if claim is None:
                rig.clock.advance(10)
            return claim

    rig.queue.__class__ = Hurried
    assert rig.loop(until_idle=True).run() == 0
    assert len(rig.ran) == 1


def test_once_runs_one(rig: Rig) -> None:
    ids = _queue(rig, 2)
    assert rig.loop(once=True).run() == 0
    assert rig.ran == ids[:1]


def test_a_task_is_published_once_the_engine_has_the_next_one(rig: Rig) -> None:
    """Another thread that starts in between would hold up the engine."""
    first, second = _queue(rig, 2)

    class Ahead(Rig):
        """Has its next task prepared while the engine works."""

        def generate(self, run: Claim, nearly_done: Callable[[float], None]) -> str | Settled:
            made = super().generate(run, nearly_done)
            nearly_done(0.0)
            loop = running[0]
            if loop._ahead is not None:
                loop._ahead.result()
            return made

    rig.__class__ = Ahead
    running = [rig.loop(until_idle=True)]
    assert running[0].run() == 0
    assert rig.log.index(f"began {second}") < rig.log.index(f"published {first}")
    assert rig.log[-1] == f"published {second}"


def test_a_task_with_no_other_behind_it_is_published_at_once(rig: Rig) -> None:
    (only,) = _queue(rig, 1)
    published = threading.Event()

    class Told(Rig):
        """Says when it publishes."""

        def publish(self, run: Claim, made: str) -> Settled:
            published.set()
            return super().publish(run, made)

    class Patient(SignallingQueue):
        """The same queue; an empty look waits for the publication, as a long rest would."""

        def claim(self, worker_id: str, claim_id: str, capability: Capability) -> Claim | None:
            claim = super().claim(worker_id, claim_id, capability)
            assert claim is not None or published.wait(PATIENCE)
            return claim

    rig.__class__, rig.queue.__class__ = Told, Patient
    assert rig.loop(until_idle=True).run() == 0
    assert rig.log == [f"began {only}", f"published {only}"]


def test_a_stop_ends_the_loop_after_the_current_task(rig: Rig) -> None:
    ids = _queue(rig, 2)

    def stop(claim: Claim) -> Settled:
        rig.shutdown.request()
        return rig.complete(claim)

    rig.end = stop
    assert rig.loop().run() == 0
    assert rig.ran == ids[:1]


@pytest.mark.parametrize(("until_idle", "once"), [(True, False), (False, True)])
def test_a_machine_that_cannot_run_a_task_stops_with_1(rig: Rig, until_idle: bool, once: bool) -> None:
    _queue(rig, 2)
    rig.end = lambda claim: Settled(Outcome.UNFIT, "no room")
    assert rig.loop(until_idle=until_idle, once=once).run() == 1
    assert len(rig.ran) == 1


def test_failures_do_not_stop_the_loop(rig: Rig) -> None:
    _queue(rig, 3)

    def fail(claim: Claim) -> Settled:
        rig.queue.fail(claim.task_id, claim.attempt, "BAD_PARAMS", "no", retry=False)
        return Settled(Outcome.FAILED)

    rig.end = fail
    assert rig.loop(until_idle=True).run() == 0
    assert len(rig.ran) == 3


def test_a_claim_whose_answer_was_lost_is_repeated_with_the_same_id(rig: Rig) -> None:
    ids = _queue(rig, 1)
    seen: list[str] = []

    class Lossy(SignallingQueue):
        """The same queue; the answer of the first claim never arrives."""

        def claim(self, worker_id: str, claim_id: str, capability: Capability) -> Claim | None:
            claim = super().claim(worker_id, claim_id, capability)
            seen.append(claim_id)
            if len(seen) == 1:
                raise QueueUnavailable("the answer was lost")
            return claim

    rig.queue.__class__ = Lossy
    assert rig.loop(until_idle=True).run() == 0
    assert rig.ran == ids
    assert seen[0] == seen[1]
    assert seen[2] != seen[1]
    view = rig.queue.get(ids[0])
    assert view is not None
    assert view.attempts == 1


def test_a_queue_out_of_reach_is_no_reason_to_stop(rig: Rig) -> None:
    ids = _queue(rig, 1)
    failures = iter([True, True])

    class Flaky(SignallingQueue):
        """The same queue; it cannot say how much waits, twice."""

        def queued(self) -> int:
            if next(failures, False):
                raise QueueUnavailable("down")
            return super().queued()

    rig.queue.__class__ = Flaky
    assert rig.loop(until_idle=True).run() == 0
    assert rig.ran == ids


class Full(SignallingQueue):
    """The same queue on a disk that is full for the first claim."""

    claims = 0

    def claim(self, worker_id: str, claim_id: str, capability: Capability) -> Claim | None:
        self.claims += 1
        if self.claims == 1:
            raise DiskFull("there is no room for the queue")
        return super().claim(worker_id, claim_id, capability)


def test_a_full_disk_under_the_queue_is_waited_out(rig: Rig) -> None:
    ids = _queue(rig, 1)
    rig.queue.__class__ = Full

    def complete_and_stop(claim: Claim) -> Settled:
        rig.shutdown.request()
        return rig.complete(claim)

    rig.end = complete_and_stop
    assert rig.loop().run() == 0
    assert rig.ran == ids


@pytest.mark.parametrize(("until_idle", "once"), [(True, False), (False, True)])
def test_a_full_disk_under_the_queue_ends_a_worker_that_somebody_waits_for(
    rig: Rig, until_idle: bool, once: bool
) -> None:
    _queue(rig, 1)
    rig.queue.__class__ = Full
    with pytest.raises(DiskFull):
        rig.loop(until_idle=until_idle, once=once).run()


@pytest.mark.parametrize(("until_idle", "status"), [(True, 1), (False, 0)])
def test_a_task_whose_end_could_not_be_told_is_no_success(rig: Rig, until_idle: bool, status: int) -> None:
    _queue(rig, 1)

    def unsettled(claim: Claim) -> Settled:
        if not until_idle:
            rig.shutdown.request()
        return Settled(Outcome.UNSETTLED, "the queue was not told")

    rig.end = unsettled
    assert rig.loop(until_idle=until_idle).run() == status
