"""How the stages of a task end when queue, storage, disk or folders fail in the middle of them."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from headless import runner as runner_module
from headless import wiring
from headless.adapters.local_storage import LocalStorage
from headless.adapters.sqlite_queue import SqliteQueue
from headless.errors import (
    BadInput,
    BadParams,
    DiskFull,
    Draining,
    HeadlessError,
    InternalError,
    StorageUnavailable,
    UsageError,
)
from headless.ports import StoredObject
from headless.settings import worker_settings
from headless.settle import Outcome, Settled
from headless.task import Capability, Claim, CompleteAnswer, FencedAnswer, Json, Report, TaskStatus
from tests.worker.place import Place

Trouble = Callable[[], HeadlessError | None]


class TroubledQueue(SqliteQueue):
    """The real queue; `trouble[call]` says whether a call of that name fails now, and with what."""

    def __init__(self, path: Path, trouble: dict[str, Trouble], asked: list[str]) -> None:
        super().__init__(path)
        self.trouble = trouble
        self.asked = asked

    def complete(
        self,
        task_id: str,
        attempt: int,
        object_key: str,
        sha256: str,
        result: Mapping[str, Json],
        report: Report = None,
    ) -> CompleteAnswer:
        self._meet("complete")
        return super().complete(task_id, attempt, object_key, sha256, result, report)

    def release(
        self,
        task_id: str,
        attempt: int,
        reason: str,
        delay_seconds: float = 0.0,
        report: Report = None,
    ) -> FencedAnswer:
        self._meet("release")
        return super().release(task_id, attempt, reason, delay_seconds, report)

    def fail(
        self,
        task_id: str,
        attempt: int,
        error_class: str,
        message: str,
        retry: bool,
        report: Report = None,
    ) -> FencedAnswer:
        self._meet("fail")
        return super().fail(task_id, attempt, error_class, message, retry, report)

    def _meet(self, call: str) -> None:
        self.asked.append(call)
        error = self.trouble.get(call, lambda: None)()
        if error is not None:
            raise error


class TroubledStorage(LocalStorage):
    """The real storage, which `trouble` can keep from storing."""

    def __init__(self, root: Path, trouble: Trouble) -> None:
        super().__init__(root)
        self.trouble = trouble

    def put(self, key: str, source: Path, content_type: str) -> StoredObject:
        error = self.trouble() if key.endswith("video.mp4") else None
        if error is not None:
            raise error
        return super().put(key, source, content_type)


class Bench:
    """Runners whose queue and storage fail on request."""

    def __init__(self, place: Place) -> None:
        self.place = place
        self.trouble: dict[str, Trouble] = {}
        self.storing: Trouble = lambda: None
        self.asked: list[str] = []
        self.settle_limit = 0.0

    @property
    def jobs(self) -> Path:
        """Where running tasks keep their files."""
        return self.place.folder / "work" / "jobs"

    @property
    def outbox(self) -> list[Path]:
        """Parcels that wait."""
        return list((self.place.folder / "work" / "outbox").iterdir())

    @contextmanager
    def worker(self) -> Iterator[wiring.Worker]:
        """A worker that has not begun to work."""
        settings = worker_settings(
            self.place.flags("--engine", "fake", "--until-idle", "--fake-step-seconds", "0"), {}
        )
        queue = TroubledQueue(self.place.local / "queue.sqlite3", self.trouble, self.asked)
        storage = TroubledStorage(self.place.local / "files", self.storing)
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(wiring, "open_backend", lambda *_: (queue, storage))
            patch.setattr(runner_module, "SETTLE_LIMIT", self.settle_limit)
            with wiring.build_worker(settings) as worker:
                yield worker

    def claimed(self, **changes: Json) -> Claim:
        """A task, queued and claimed."""
        self.place.enqueue(self.place.job(**changes))
        with self.place.queue() as queue:
            claim = queue.claim("w", "claim", Capability())
        assert claim is not None
        return claim

    def run(self, claim: Claim) -> Settled:
        """All stages of a task, one after another."""
        with self.worker() as worker:
            run = worker.runner.prepare(claim)
            if isinstance(run, Settled):
                return run
            made = worker.runner.generate(run, lambda _: None)
            return made if isinstance(made, Settled) else worker.runner.publish(run, made)

    def deliver_waiting(self) -> None:
        """What a worker does first."""
        with self.worker() as worker:
            worker.runner.deliver_waiting()


@pytest.fixture
def bench(place: Place) -> Bench:
    """Everything works at first."""
    return Bench(place)


def test_a_full_disk_is_cleared_before_the_queue_is_told(bench: Bench, place: Place) -> None:
    """The queue of a local folder lies on the disk that the task has filled."""

    def full() -> HeadlessError | None:
        return DiskFull("no room for the queue") if list(bench.jobs.glob("*/start_image")) else None

    bench.trouble["release"] = full
    claim = bench.claimed(prompt="[fault disk-full]")
    assert bench.run(claim).outcome is Outcome.UNFIT
    assert bench.asked == ["release"]
    view = place.view(claim.task_id)
    assert (view.status, view.attempts) == (TaskStatus.QUEUED, 0)


def test_a_queue_without_room_is_told_again(
    bench: Bench, place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    bench.settle_limit = 60.0
    monkeypatch.setattr("headless.clock.SystemClock.sleep", lambda *_: None)
    refusals = iter([DiskFull("no room for the queue")])
    bench.trouble["release"] = lambda: next(refusals, None)
    claim = bench.claimed(prompt="[fault disk-full]")
    assert bench.run(claim).outcome is Outcome.UNFIT
    assert bench.asked == ["release", "release"]
    assert place.view(claim.task_id).attempts == 0


def test_a_result_stays_in_the_outbox_until_the_queue_knows_how_its_task_ended(
    bench: Bench, place: Place
) -> None:
    """An access token expires after an hour: whoever starts next with a fresh one delivers."""
    expired = UsageError("Supabase refused the key or token (JWT expired).")
    bench.storing = lambda: expired
    bench.trouble["release"] = lambda: expired
    claim = bench.claimed()
    settled = bench.run(claim)
    assert settled.outcome is Outcome.UNSETTLED
    assert [folder.name for folder in bench.outbox] == [f"{claim.task_id}-1"]

    assert place.work() == 0
    assert place.result(claim.task_id)["frames"] == 5
    assert place.view(claim.task_id).attempts == 1
    assert bench.outbox == []


def test_a_result_that_storage_will_never_take_is_thrown_away_once_its_task_has_failed(
    bench: Bench, place: Place
) -> None:
    bench.storing = lambda: BadInput("larger than the bucket accepts")
    claim = bench.claimed()
    assert bench.run(claim).outcome is Outcome.FAILED
    assert bench.outbox == []
    assert place.view(claim.task_id).error_message == "larger than the bucket accepts"


def test_a_full_storage_gets_the_room_of_the_result_before_the_queue_is_told(
    bench: Bench, place: Place
) -> None:
    bench.storing = lambda: DiskFull("no room")
    bench.trouble["release"] = lambda: DiskFull("no room for the queue") if bench.outbox else None
    claim = bench.claimed()
    assert bench.run(claim).outcome is Outcome.UNFIT
    assert place.view(claim.task_id).attempts == 0


@pytest.fixture
def left(bench: Bench) -> Claim:
    """A task whose result was left in the outbox."""
    out = StorageUnavailable("no storage")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("headless.delivery.DELIVERY_LIMIT", 0.0)
        bench.storing = lambda: out
        bench.trouble["fail"] = lambda: out
        claim = bench.claimed()
        assert bench.run(claim).outcome is Outcome.UNSETTLED
    bench.storing = lambda: None
    bench.trouble.clear()
    return claim


def test_what_cannot_be_delivered_now_stays_for_the_next_start(bench: Bench, left: Claim) -> None:
    bench.storing = lambda: UsageError("storage refused the key")
    bench.deliver_waiting()
    assert [folder.name for folder in bench.outbox] == [f"{left.task_id}-1"]
    assert list(bench.jobs.iterdir()) == []


def test_what_is_no_longer_wanted_is_thrown_away(bench: Bench, left: Claim, place: Place) -> None:
    with place.queue() as queue:
        queue.release(left.task_id, left.attempt, "by hand")
        queue.cancel(left.task_id)
    bench.deliver_waiting()
    assert bench.outbox == []
    assert place.view(left.task_id).status is TaskStatus.CANCELLED


def test_a_cancellation_meets_a_waiting_result(bench: Bench, left: Claim, place: Place) -> None:
    with place.queue() as queue:
        queue.cancel(left.task_id)
    bench.deliver_waiting()
    assert bench.outbox == []
    assert place.view(left.task_id).status is TaskStatus.CANCELLED


def test_a_stop_during_the_upload_leaves_the_result_to_the_next_start(bench: Bench, place: Place) -> None:
    bench.storing = lambda: Draining("the grace time is over")
    claim = bench.claimed()
    assert bench.run(claim).outcome is Outcome.LEFT
    assert bench.asked == [], "neither failed nor given back: its attempt goes on"
    assert [folder.name for folder in bench.outbox] == [f"{claim.task_id}-1"]
    assert place.work() == 0
    assert place.view(claim.task_id).status is TaskStatus.COMPLETE
    assert place.view(claim.task_id).attempts == 1


def test_a_prepared_task_that_will_not_run_is_given_back(bench: Bench, place: Place) -> None:
    claim = bench.claimed()
    with bench.worker() as worker:
        run = worker.runner.prepare(claim)
        assert not isinstance(run, Settled)
        assert worker.runner.abandon(run).outcome is Outcome.RELEASED
    view = place.view(claim.task_id)
    assert (view.status, view.attempts) == (TaskStatus.QUEUED, 0)
    assert list(bench.jobs.iterdir()) == []


def test_an_unknown_model_to_preload_is_named(bench: Bench) -> None:
    with bench.worker() as worker, pytest.raises(BadParams, match="wan_tiny_i2v"):
        worker.runner.preload("wan_tinny_i2v")


def test_a_bug_while_preloading_is_ours(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: Any) -> None:
        raise RuntimeError("a bug")

    monkeypatch.setattr("headless.adapters.fake_engine.FakeEngine.load", fail)
    with bench.worker() as worker, pytest.raises(InternalError, match="RuntimeError: a bug"):
        worker.runner.preload("wan_tiny_i2v")


def test_a_worker_that_cannot_tell_the_queue_says_1(bench: Bench, place: Place) -> None:
    """`--until-idle` must not end with 0 over a task that is neither done nor given back."""
    task = place.enqueue(place.job(prompt="[fault bad-input]"))
    bench.trouble["fail"] = lambda: UsageError("Supabase refused the key or token (JWT expired).")
    with bench.worker() as worker:
        assert worker.run() == 1
    assert place.view(task).status is TaskStatus.IN_PROGRESS
