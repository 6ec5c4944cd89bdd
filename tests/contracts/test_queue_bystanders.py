"""A worker that vanishes takes several tasks with it; only the one on its engine may be the cause."""

from __future__ import annotations

import pytest

from headless.task import Phase, Progress, TaskStatus
from tests.contracts.calls import PROGRESS, claim, new_task, status, try_claim, view
from tests.contracts.harness import QueueHarness

WAITING = Progress(Phase.FETCHING, percent=2, waiting=True)
CHECKING = Progress(Phase.CHECKING, percent=95)
UPLOADING = Progress(Phase.UPLOADING, percent=97)


def vanish(harness: QueueHarness, worker: str, progress: Progress) -> None:
    claimed = claim(harness.queue, worker)
    harness.queue.renew(claimed.task_id, claimed.attempt, WAITING)
    harness.queue.renew(claimed.task_id, claimed.attempt, progress)
    harness.advance(harness.lease_seconds + 1)


@pytest.mark.parametrize("progress", [WAITING, CHECKING, UPLOADING], ids=lambda progress: progress.phase)
def test_a_bystander_is_not_put_into_quarantine(queue_harness: QueueHarness, progress: Progress) -> None:
    task = queue_harness.queue.enqueue(new_task())
    for worker in ("worker-1", "worker-2", "worker-3"):
        vanish(queue_harness, worker, progress)
    assert claim(queue_harness.queue, "worker-4").task_id == task
    ends = [(row.outcome, row.error_class) for row in queue_harness.attempts(task)]
    assert ends == [("crashed", "BYSTANDER")] * 3 + [("running", None)]


def test_a_task_on_the_engine_is_counted_after_it_waited(queue_harness: QueueHarness) -> None:
    task = queue_harness.queue.enqueue(new_task())
    for worker in ("worker-1", "worker-2"):
        vanish(queue_harness, worker, PROGRESS)
    assert try_claim(queue_harness.queue, "worker-3") is None
    assert view(queue_harness.queue, task).error_class == "QUARANTINED"


def test_one_crash_beside_and_one_on_the_engine_are_no_pattern(queue_harness: QueueHarness) -> None:
    task = queue_harness.queue.enqueue(new_task())
    vanish(queue_harness, "worker-1", WAITING)
    vanish(queue_harness, "worker-2", PROGRESS)
    assert claim(queue_harness.queue, "worker-3").task_id == task


def test_even_a_bystander_is_given_up_at_the_fifth_crash(queue_harness: QueueHarness) -> None:
    task = queue_harness.queue.enqueue(new_task())
    for number in range(5):
        vanish(queue_harness, f"worker-{number}", UPLOADING)
    assert try_claim(queue_harness.queue) is None
    assert status(queue_harness.queue, task) is TaskStatus.FAILED
    assert view(queue_harness.queue, task).error_class == "QUARANTINED"
