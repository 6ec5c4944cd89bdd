"""The report of an attempt: kept however the attempt ends, and never a reason for it not to end."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from headless.ports import TaskQueue
from headless.task import CancelAnswer, Claim, CompleteAnswer, FencedAnswer, Json, Report
from tests.contracts.calls import OTHER_SHA, PROGRESS, SHA, claim, movie_key, new_task, try_claim
from tests.contracts.harness import QueueHarness

REPORT: dict[str, Json] = {
    "format": 1,
    "parameters": {"seed": 7, "prompt": "ünïcode 🎬"},
    "weights": {"vae": "a" * 64},
    "timings": {"denoising": 12.5},
}

Ending = Callable[[TaskQueue, Claim, Report], object]


def _complete(queue: TaskQueue, claimed: Claim, report: Report) -> object:
    return queue.complete(claimed.task_id, claimed.attempt, movie_key(claimed), SHA, {}, report)


def _fail(queue: TaskQueue, claimed: Claim, report: Report) -> object:
    return queue.fail(claimed.task_id, claimed.attempt, "BAD_INPUT", "no good", False, report)


def _retry(queue: TaskQueue, claimed: Claim, report: Report) -> object:
    return queue.fail(claimed.task_id, claimed.attempt, "INTERNAL", "a bug", True, report)


def _cancel(queue: TaskQueue, claimed: Claim, report: Report) -> object:
    return queue.fail(claimed.task_id, claimed.attempt, "CANCELLED", "as asked", False, report)


def _release(queue: TaskQueue, claimed: Claim, report: Report) -> object:
    return queue.release(claimed.task_id, claimed.attempt, "draining", 5.0, report)


ENDINGS = {
    "completed": _complete,
    "failed": _fail,
    "retried": _retry,
    "cancelled": _cancel,
    "released": _release,
}


@pytest.mark.parametrize("outcome", ENDINGS)
def test_every_end_keeps_its_report(queue_harness: QueueHarness, outcome: str) -> None:
    queue = queue_harness.queue
    task = queue.enqueue(new_task())
    answer = ENDINGS[outcome](queue, claim(queue), REPORT)
    assert answer in (FencedAnswer.OK, CompleteAnswer.DONE)
    assert [(row.outcome, row.report) for row in queue_harness.attempts(task)] == [(outcome, REPORT)]


@pytest.mark.parametrize("outcome", ENDINGS)
def test_a_cancellation_that_came_first_keeps_the_report(queue_harness: QueueHarness, outcome: str) -> None:
    queue = queue_harness.queue
    task = queue.enqueue(new_task())
    claimed = claim(queue)
    assert queue.cancel(task) is CancelAnswer.REQUESTED
    ENDINGS[outcome](queue, claimed, REPORT)
    assert [(row.outcome, row.report) for row in queue_harness.attempts(task)] == [("cancelled", REPORT)]


@pytest.mark.parametrize("outcome", ENDINGS)
def test_a_report_may_be_missing(queue_harness: QueueHarness, outcome: str) -> None:
    queue = queue_harness.queue
    task = queue.enqueue(new_task())
    ENDINGS[outcome](queue, claim(queue), None)
    assert [(row.outcome, row.report) for row in queue_harness.attempts(task)] == [(outcome, None)]


@pytest.mark.parametrize(
    ("unstorable", "why"),
    [
        ({"peak": float("nan")}, "finite"),
        ({"prompt": "x\0y"}, "NUL"),
        ({"prompt": "x" * 1_000_001}, "at most 1000000"),
    ],
)
@pytest.mark.parametrize("outcome", ["completed", "failed", "released"])
def test_what_is_wrong_with_a_report_takes_its_place(
    queue_harness: QueueHarness, outcome: str, unstorable: Report, why: str
) -> None:
    queue = queue_harness.queue
    task = queue.enqueue(new_task())
    answer = ENDINGS[outcome](queue, claim(queue), unstorable)
    assert answer in (FencedAnswer.OK, CompleteAnswer.DONE)
    (row,) = queue_harness.attempts(task)
    assert row.outcome == outcome
    assert row.report is not None
    assert why in row.report["left_out"]


def test_an_attempt_that_nobody_ended_keeps_what_its_last_renewal_told(queue_harness: QueueHarness) -> None:
    queue = queue_harness.queue
    task = queue.enqueue(new_task())
    first = claim(queue, "worker-1")
    queue.renew(task, first.attempt, PROGRESS)
    queue_harness.advance(queue_harness.lease_seconds + 1)
    second = try_claim(queue, "worker-2")
    assert second is not None
    crashed, running = queue_harness.attempts(task)
    assert (crashed.outcome, crashed.report) == ("crashed", {"last_progress": PROGRESS.as_json()})
    assert (running.outcome, running.report) == ("running", None)


def test_whoever_comes_too_late_changes_no_report(queue_harness: QueueHarness) -> None:
    queue = queue_harness.queue
    task = queue.enqueue(new_task())
    claimed = claim(queue)
    _complete(queue, claimed, REPORT)
    late: Report = {"late": True}
    again = queue.complete(task, claimed.attempt, movie_key(claimed), SHA, {}, late)
    other = queue.complete(task, claimed.attempt, movie_key(claimed), OTHER_SHA, {}, late)
    assert (again, other) == (CompleteAnswer.ALREADY, CompleteAnswer.LOST)
    assert _fail(queue, claimed, late) is FencedAnswer.LOST
    assert _release(queue, claimed, late) is FencedAnswer.LOST
    assert [row.report for row in queue_harness.attempts(task)] == [REPORT]
