"""The engine waits for no picture and no upload; what was fetched ahead is fenced like everything else."""

from __future__ import annotations

from functools import partial

from headless.task import CancelAnswer, Capability, RenewAnswer, TaskStatus
from tests.overhead.worker import Worker

COUNT = 4


def test_pictures_come_and_videos_leave_while_the_engine_works(worker: Worker) -> None:
    """The engine lingers over each task until the next one's picture is there; each upload lasts until the
    engine is through with the next task. A worker that did one after the other would never get on."""
    wait = worker.timeline.wait_for
    tasks = [worker.enqueue(str(number)) for number in range(COUNT)]
    for number, task in enumerate(tasks[:-1]):
        worker.engine.meanwhile[str(number)] = partial(wait, f"fetched inputs/local/{number + 1}.png")
        worker.storage.before_upload[task] = partial(wait, f"engine done with {number + 1}")
    assert worker.work() == 0
    assert worker.timeline.missed == []
    assert worker.engine.ran == [str(number) for number in range(COUNT)]
    assert [worker.view(task).status for task in tasks] == [TaskStatus.COMPLETE] * COUNT
    assert [worker.view(task).attempts for task in tasks] == [1] * COUNT


def _lose_the_second(worker: Worker, second: str) -> None:
    """Its lease expires and another worker takes it."""
    with worker.queue.file.transaction() as db:
        db.execute("UPDATE tasks SET lease_expires_at = 0 WHERE id = ?", (second,))
    claim = worker.queue.claim("other", "its-claim", Capability())
    assert claim is not None
    assert (claim.task_id, claim.attempt) == (second, 2)


def test_a_task_lost_while_it_waits_for_the_engine_is_not_run(worker: Worker) -> None:
    first, second = worker.enqueue("0"), worker.enqueue("1")

    def meanwhile() -> None:
        worker.timeline.wait_for(f"prepared {second}")
        _lose_the_second(worker, second)
        worker.renewals(RenewAnswer.LOST, second, 1)
        worker.await_end_of_lease(second)

    worker.engine.meanwhile["0"] = meanwhile
    assert worker.work() == 0
    assert worker.timeline.missed == []
    assert worker.engine.ran == ["0"]
    assert worker.view(first).status is TaskStatus.COMPLETE
    assert (worker.view(second).status, worker.view(second).worker_id) == (TaskStatus.IN_PROGRESS, "other")
    assert worker.uploaded(second) == []


def test_a_task_lost_without_the_worker_hearing_of_it_is_not_published(worker: Worker) -> None:
    _, second = worker.enqueue("0"), worker.enqueue("1")

    def meanwhile() -> None:
        worker.timeline.wait_for(f"prepared {second}")
        worker.queue.cut_off.add(second)
        _lose_the_second(worker, second)

    worker.engine.meanwhile["0"] = meanwhile
    assert worker.work() == 0
    assert worker.timeline.missed == []
    assert worker.engine.ran == ["0", "1"]
    view = worker.view(second)
    assert (view.status, view.worker_id, view.output_location) == (TaskStatus.IN_PROGRESS, "other", None)
    assert [row.outcome for row in worker.queue.attempts(second)] == ["crashed", "running"]


def test_a_task_cancelled_while_it_waits_for_the_engine_is_not_run(worker: Worker) -> None:
    first, second = worker.enqueue("0"), worker.enqueue("1")

    def meanwhile() -> None:
        worker.timeline.wait_for(f"prepared {second}")
        assert worker.queue.cancel(second) is CancelAnswer.REQUESTED
        # The second renewal begins after the answer to the first was noted.
        worker.renewals(RenewAnswer.CANCEL, second, 2)

    worker.engine.meanwhile["0"] = meanwhile
    assert worker.work() == 0
    assert worker.timeline.missed == []
    assert worker.engine.ran == ["0"]
    assert worker.view(first).status is TaskStatus.COMPLETE
    assert worker.view(second).status is TaskStatus.CANCELLED
    assert worker.uploaded(second) == []


def test_a_task_that_waits_for_the_engine_is_given_back_when_the_worker_stops(worker: Worker) -> None:
    first, second = worker.enqueue("0"), worker.enqueue("1")

    def meanwhile() -> None:
        worker.timeline.wait_for(f"prepared {second}")
        worker.shutdown.request()

    worker.engine.meanwhile["0"] = meanwhile
    assert worker.work() == 0
    assert worker.timeline.missed == []
    assert worker.engine.ran == ["0"]
    assert worker.view(first).status is TaskStatus.COMPLETE
    view = worker.view(second)
    assert (view.status, view.attempts) == (TaskStatus.QUEUED, 0)
    assert "asked to stop before the task began" in (view.error_message or "")
