"""Cancellation at every moment of a task's life. Whichever is committed first wins, and stays."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor

import pytest

from headless.task import CancelAnswer, CompleteAnswer, FencedAnswer, RenewAnswer, TaskStatus
from tests.contracts.calls import PROGRESS, claim, complete, fail, new_task, status, try_claim, view
from tests.contracts.harness import QueueHarness


def test_a_queued_task_is_cancelled_at_once(queue_harness: QueueHarness) -> None:
    queue = queue_harness.queue
    task = queue.enqueue(new_task())
    assert queue.cancel(task) is CancelAnswer.CANCELLED
    seen = view(queue, task)
    assert (seen.status, seen.error_class) == (TaskStatus.CANCELLED, "CANCELLED")
    assert seen.error_message
    assert try_claim(queue) is None
    assert queue.cancel(task) is CancelAnswer.CANCELLED


def test_a_delayed_task_is_cancelled_at_once(queue_harness: QueueHarness) -> None:
    queue = queue_harness.queue
    task = queue.enqueue(new_task(delay=1000))
    assert queue.cancel(task) is CancelAnswer.CANCELLED
    assert status(queue, task) is TaskStatus.CANCELLED


def test_a_running_task_hears_of_it_in_the_next_renewal(queue_harness: QueueHarness) -> None:
    queue = queue_harness.queue
    task = queue.enqueue(new_task())
    claimed = claim(queue)
    assert queue.cancel(task) is CancelAnswer.REQUESTED
    assert queue.cancel(task) is CancelAnswer.REQUESTED
    assert status(queue, task) is TaskStatus.IN_PROGRESS
    assert queue.renew(task, claimed.attempt, PROGRESS) is RenewAnswer.CANCEL
    assert queue.renew(task, claimed.attempt, PROGRESS) is RenewAnswer.CANCEL
    assert fail(queue, claimed, "CANCELLED", "stopped at step 3") is FencedAnswer.OK
    seen = view(queue, task)
    assert (seen.status, seen.error_class, seen.phase) == (TaskStatus.CANCELLED, "CANCELLED", None)
    assert [row.outcome for row in queue_harness.attempts(task)] == ["cancelled"]
    assert queue.cancel(task) is CancelAnswer.CANCELLED


def test_a_cancelling_worker_keeps_its_lease_while_it_stops(queue_harness: QueueHarness) -> None:
    queue = queue_harness.queue
    task = queue.enqueue(new_task())
    claimed = claim(queue)
    queue.cancel(task)
    for _ in range(3):
        queue_harness.advance(queue_harness.lease_seconds * 0.9)
        assert queue.renew(task, claimed.attempt, PROGRESS) is RenewAnswer.CANCEL
    assert try_claim(queue, "worker-2") is None
    assert status(queue, task) is TaskStatus.IN_PROGRESS


def test_a_completion_after_the_request_is_not_published(queue_harness: QueueHarness) -> None:
    queue = queue_harness.queue
    task = queue.enqueue(new_task())
    claimed = claim(queue)
    queue.cancel(task)
    assert complete(queue, claimed) is CompleteAnswer.LOST
    assert complete(queue, claimed) is CompleteAnswer.LOST
    seen = view(queue, task)
    assert (seen.status, seen.output_location, seen.result) == (TaskStatus.CANCELLED, None, None)


def test_a_request_after_the_completion_has_no_effect(queue_harness: QueueHarness) -> None:
    queue = queue_harness.queue
    task = queue.enqueue(new_task())
    claimed = claim(queue)
    complete(queue, claimed)
    before = view(queue, task)
    assert queue.cancel(task) is CancelAnswer.FINAL
    assert view(queue, task) == before
    assert complete(queue, claimed) is CompleteAnswer.ALREADY


def test_a_failed_task_cannot_be_cancelled(queue_harness: QueueHarness) -> None:
    queue = queue_harness.queue
    task = queue.enqueue(new_task())
    fail(queue, claim(queue))
    assert queue.cancel(task) is CancelAnswer.FINAL
    assert status(queue, task) is TaskStatus.FAILED


@pytest.mark.parametrize("retry", [True, False])
def test_an_error_after_the_request_cancels(queue_harness: QueueHarness, retry: bool) -> None:
    queue = queue_harness.queue
    task = queue.enqueue(new_task())
    claimed = claim(queue)
    queue.cancel(task)
    assert fail(queue, claimed, "BAD_INPUT", "no", retry) is FencedAnswer.OK
    assert status(queue, task) is TaskStatus.CANCELLED
    (row,) = queue_harness.attempts(task)
    assert (row.outcome, row.error_class) == ("cancelled", "BAD_INPUT")


def test_a_release_after_the_request_cancels(queue_harness: QueueHarness) -> None:
    queue = queue_harness.queue
    task = queue.enqueue(new_task())
    claimed = claim(queue)
    queue.cancel(task)
    assert queue.release(task, claimed.attempt, "drain") is FencedAnswer.OK
    assert status(queue, task) is TaskStatus.CANCELLED


def test_a_vanished_workers_task_is_cancelled_by_the_next_claim(queue_harness: QueueHarness) -> None:
    queue = queue_harness.queue
    task, other = queue.enqueue(new_task()), queue.enqueue(new_task(priority=5))
    claim(queue)
    lost = claim(queue)
    assert lost.task_id == task
    queue.cancel(task)
    queue_harness.advance(queue_harness.lease_seconds + 1)
    assert claim(queue, "worker-2").task_id == other
    assert status(queue, task) is TaskStatus.CANCELLED
    assert [row.outcome for row in queue_harness.attempts(task)] == ["crashed"]
    assert complete(queue, lost) is CompleteAnswer.LOST


def test_a_vanished_workers_task_is_cancelled_at_once(queue_harness: QueueHarness) -> None:
    queue = queue_harness.queue
    task = queue.enqueue(new_task())
    lost = claim(queue)
    queue_harness.advance(queue_harness.lease_seconds + 1)
    assert queue.cancel(task) is CancelAnswer.CANCELLED
    assert status(queue, task) is TaskStatus.CANCELLED
    assert complete(queue, lost) is CompleteAnswer.LOST


def test_a_request_does_not_outlive_the_attempt(queue_harness: QueueHarness) -> None:
    queue = queue_harness.queue
    task = queue.enqueue(new_task())
    queue.cancel(task)
    copy = queue.retry(task)
    assert copy is not None
    claimed = claim(queue)
    assert claimed.task_id == copy
    assert queue.renew(copy, claimed.attempt, PROGRESS) is RenewAnswer.OK


def test_cancel_and_complete_at_once_agree_on_one(queue_harness: QueueHarness) -> None:
    queue, other = queue_harness.queue, queue_harness.second_connection()
    for _ in range(10):
        task = queue.enqueue(new_task())
        claimed = claim(queue)
        start = threading.Barrier(2)

        def stop(task: str = task, start: threading.Barrier = start) -> CancelAnswer:
            start.wait(60)
            return other.cancel(task)

        with ThreadPoolExecutor(1) as pool:
            stopped = pool.submit(stop)
            start.wait(60)
            completed = complete(queue, claimed)
        outcome = (completed, stopped.result(), status(queue, task))
        assert outcome in {
            (CompleteAnswer.DONE, CancelAnswer.FINAL, TaskStatus.COMPLETE),
            (CompleteAnswer.LOST, CancelAnswer.REQUESTED, TaskStatus.CANCELLED),
        }
