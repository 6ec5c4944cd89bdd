"""A cancelled task stops within a step; a task that somebody else owns is left alone, without a trace."""

from __future__ import annotations

import threading
from collections.abc import Callable

import pytest

from headless.task import CancelAnswer, Capability, TaskStatus, TaskView
from tests.worker.place import Place


class Watched:
    """A worker in a thread of its own, of one long task; `seen(view)` tells when something shall happen."""

    def __init__(self, place: Place, *flags: str) -> None:
        self.place = place
        self.status: int | None = None
        self._flags = flags
        self._thread = threading.Thread(target=self._work)

    def until(self, task: str, seen: Callable[[TaskView], bool]) -> None:
        """Start, and wait until the task's row looks so."""
        self._thread.start()
        pause = threading.Event()
        with self.place.queue() as queue:
            while (view := queue.get(task)) is not None and not seen(view):
                assert not view.status.final, view.error_message
                pause.wait(0.01)

    def ended(self) -> int | None:
        """Wait for its end; its exit status."""
        self._thread.join(60)
        return self.status

    def _work(self) -> None:
        self.status = self.place.work(*self._flags)


def _denoised(view: TaskView) -> bool:
    return view.phase == "denoising" and bool(view.progress.get("step"))


def test_a_running_task_stops_within_a_step(place: Place) -> None:
    task, behind = place.enqueue(place.job(steps=100)), place.enqueue(place.job())
    worker = Watched(place)
    worker.until(task, _denoised)
    with place.queue() as queue:
        assert queue.cancel(task) is CancelAnswer.REQUESTED
    assert worker.ended() == 0
    view = place.view(task)
    assert (view.status, view.error_class) == (TaskStatus.CANCELLED, "CANCELLED")
    assert place.outcome(task) == "cancelled"
    assert not place.stored(task, "video.mp4").exists()
    assert not list(place.outputs.glob(f"{task}*"))
    assert place.result(behind)["frames"] == 5


def test_a_queued_task_is_cancelled_without_a_worker(place: Place) -> None:
    task, behind = place.enqueue(place.job()), place.enqueue(place.job())
    with place.queue() as queue:
        assert queue.cancel(task) is CancelAnswer.CANCELLED
    assert place.work() == 0
    assert place.view(task).attempts == 0
    assert place.view(behind).status is TaskStatus.COMPLETE


def test_a_lost_task_is_abandoned_and_publishes_nothing(
    place: Place, capsys: pytest.CaptureFixture[str]
) -> None:
    task = place.enqueue(place.job(steps=100))
    worker = Watched(place, "--worker", "first")
    worker.until(task, _denoised)
    with place.queue() as queue:
        with queue.file.transaction() as db:
            db.execute("UPDATE tasks SET lease_expires_at = 0 WHERE id = ?", (task,))
        other = queue.claim("second", "its-claim", Capability())
        assert other is not None
        assert (other.task_id, other.attempt) == (task, 2)
        assert worker.ended() == 0
        view = queue.get(task)
        assert view is not None
        assert (view.status, view.worker_id) == (TaskStatus.IN_PROGRESS, "second")
        assert [row.outcome for row in queue.attempts(task)] == ["crashed", "running"]
    assert not place.stored(task, "video.mp4").exists()
    assert "task abandoned" in capsys.readouterr().out


def test_a_cancelled_parent_takes_its_dependants_along(place: Place) -> None:
    task = place.enqueue(place.job())
    child = place.enqueue(place.job(), dependant_on=(task,))
    with place.queue() as queue:
        queue.cancel(task)
    assert place.work() == 0
    view = place.view(child)
    assert view.status is TaskStatus.FAILED
    assert task in (view.error_message or "")
