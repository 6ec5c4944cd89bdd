"""An engine that never answers: the process leaves with 70, and another worker does the task."""

from __future__ import annotations

from headless.task import TaskStatus
from tests.e2e.children import Child
from tests.worker.place import Place


def test_a_hang_ends_the_process_and_not_the_task(place: Place) -> None:
    task = place.enqueue(place.job(steps=8, prompt="[fault hang at step 5]"))
    flags = (
        "--engine",
        "fake",
        "--fake-step-seconds",
        "0.01",
        "--stall-seconds",
        "0.2",
        "--lease-seconds",
        "1",
    )
    with Child(*place.flags(*flags)) as worker:
        assert worker.wait() == 70
        assert "the engine hangs" in worker.log
    view = place.view(task)
    assert view.status is TaskStatus.IN_PROGRESS
    assert view.progress["stalled"] is True
    assert view.progress["step"] == 4

    with place.queue() as queue, queue.file.transaction() as db:
        db.execute("UPDATE tasks SET lease_expires_at = 0, params = json_set(params, '$.prompt', 'a cat')")
    assert place.work() == 0
    assert place.result(task)["frames"] == 5
    with place.queue() as queue:
        assert [one.outcome for one in queue.attempts(task)] == ["crashed", "completed"]
