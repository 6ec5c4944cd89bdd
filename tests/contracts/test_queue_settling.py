"""How attempts end: publication, errors, retries, release, crashes and quarantine."""

from __future__ import annotations

import pytest

from headless.errors import BadParams, Unsafe
from headless.task import CompleteAnswer, FencedAnswer, Json, TaskStatus
from tests.contracts.calls import (
    OTHER_SHA,
    SHA,
    claim,
    complete,
    fail,
    movie_key,
    new_task,
    status,
    try_claim,
    view,
)
from tests.contracts.harness import QueueHarness


def test_completion_publishes(queue_harness: QueueHarness) -> None:
    queue = queue_harness.queue
    task = queue.enqueue(new_task())
    claimed = claim(queue)
    result: dict[str, Json] = {"seed": 7, "adjustments": [], "note": "ünïcode 🎬"}
    answer = queue.complete(task, claimed.attempt, movie_key(claimed), SHA, result)
    assert answer is CompleteAnswer.DONE
    seen = view(queue, task)
    assert seen.status is TaskStatus.COMPLETE
    assert seen.output_location == movie_key(claimed)
    assert seen.result == result
    assert seen.generation_processed_at is not None
    assert (seen.phase, seen.error_class, seen.error_message) == (None, None, None)
    assert [row.outcome for row in queue_harness.attempts(task)] == ["completed"]


def test_completing_twice_answers_already(queue_harness: QueueHarness) -> None:
    queue = queue_harness.queue
    queue.enqueue(new_task())
    claimed = claim(queue)
    assert complete(queue, claimed) is CompleteAnswer.DONE
    assert complete(queue, claimed) is CompleteAnswer.ALREADY
    assert complete(queue, claimed) is CompleteAnswer.ALREADY


def test_completing_again_with_other_bytes_is_lost(queue_harness: QueueHarness) -> None:
    queue = queue_harness.queue
    task = queue.enqueue(new_task())
    claimed = claim(queue)
    complete(queue, claimed)
    before = view(queue, task)
    assert complete(queue, claimed, OTHER_SHA) is CompleteAnswer.LOST
    other_key = f"{claimed.output_prefix}/other.mp4"
    assert queue.complete(task, claimed.attempt, other_key, SHA, {}) is CompleteAnswer.LOST
    assert view(queue, task) == before


@pytest.mark.parametrize("key", ["../movie.mp4", "/etc/passwd", "outputs/local/%2e%2e/x", "a\\b", ""])
def test_an_unsafe_key_is_not_published(queue_harness: QueueHarness, key: str) -> None:
    queue = queue_harness.queue
    task = queue.enqueue(new_task())
    claimed = claim(queue)
    with pytest.raises(Unsafe):
        queue.complete(task, claimed.attempt, key, SHA, {})
    assert status(queue, task) is TaskStatus.IN_PROGRESS


def test_a_result_that_is_no_json_is_refused(queue_harness: QueueHarness) -> None:
    queue = queue_harness.queue
    queue.enqueue(new_task())
    claimed = claim(queue)
    with pytest.raises(BadParams, match="finite"):
        queue.complete(claimed.task_id, claimed.attempt, movie_key(claimed), SHA, {"score": float("nan")})


def test_a_final_task_stays_final(queue_harness: QueueHarness) -> None:
    queue = queue_harness.queue
    done, failed = queue.enqueue(new_task()), queue.enqueue(new_task())
    claims = claim(queue), claim(queue)
    complete(queue, claims[0])
    fail(queue, claims[1])
    before = view(queue, done), view(queue, failed)
    for claimed in claims:
        assert fail(queue, claimed, retry=True) is FencedAnswer.LOST
        assert queue.release(claimed.task_id, claimed.attempt, "drain") is FencedAnswer.LOST
        queue.cancel(claimed.task_id)
    assert complete(queue, claims[1]) is CompleteAnswer.LOST
    queue_harness.advance(1000)
    assert try_claim(queue) is None
    assert (view(queue, done), view(queue, failed)) == before


def test_a_failure_keeps_its_class_and_message(queue_harness: QueueHarness) -> None:
    queue = queue_harness.queue
    task = queue.enqueue(new_task())
    claimed = claim(queue)
    assert fail(queue, claimed, "BAD_PARAMS", "num_frames is 0; use 5 to 2001") is FencedAnswer.OK
    seen = view(queue, task)
    assert seen.status is TaskStatus.FAILED
    assert (seen.error_class, seen.error_message) == ("BAD_PARAMS", "num_frames is 0; use 5 to 2001")
    assert (seen.attempts, seen.phase) == (1, None)
    (row,) = queue_harness.attempts(task)
    assert (row.outcome, row.error_class, row.worker_id, row.ended) == (
        "failed",
        "BAD_PARAMS",
        "worker-1",
        True,
    )


@pytest.mark.parametrize(
    "message", ["", "'; drop table tasks;--", "%s %n {0} ${jndi:ldap://x}", "a\0b", "\ud800", "x" * 50_000]
)
def test_any_error_message_can_be_stored(queue_harness: QueueHarness, message: str) -> None:
    queue = queue_harness.queue
    task = queue.enqueue(new_task())
    assert fail(queue, claim(queue), "INTERNAL", message) is FencedAnswer.OK
    stored = view(queue, task).error_message
    assert stored is not None
    assert stored[:9_000] == message[:9_000] or "\0" in message or "\ud800" in message
    assert len(stored) <= 10_000


def test_retries_come_later_each_time_then_the_task_fails(queue_harness: QueueHarness) -> None:
    queue = queue_harness.queue
    task = queue.enqueue(new_task())
    for delay in (5.0, 20.0, 80.0):
        claimed = claim(queue)
        assert fail(queue, claimed, "INPUT_UNAVAILABLE", f"try {delay}", retry=True) is FencedAnswer.OK
        seen = view(queue, task)
        assert (seen.status, seen.error_message) == (TaskStatus.QUEUED, f"try {delay}")
        assert (seen.worker_id, seen.phase, seen.generation_started_at) == (None, None, None)
        queue_harness.advance(delay * 0.96)
        assert try_claim(queue) is None
        queue_harness.advance(delay * 0.56)
    assert fail(queue, claim(queue), "INPUT_UNAVAILABLE", "the last try", retry=True) is FencedAnswer.OK
    seen = view(queue, task)
    assert (seen.status, seen.attempts) == (TaskStatus.FAILED, 4)
    assert (seen.error_class, seen.error_message) == ("INPUT_UNAVAILABLE", "the last try")
    assert [row.outcome for row in queue_harness.attempts(task)] == ["retried"] * 3 + ["failed"]
    queue_harness.advance(10_000)
    assert try_claim(queue) is None


def test_a_task_that_recovers_shows_no_error(queue_harness: QueueHarness) -> None:
    queue = queue_harness.queue
    task = queue.enqueue(new_task())
    fail(queue, claim(queue), retry=True)
    queue_harness.advance(10)
    complete(queue, claim(queue))
    seen = view(queue, task)
    assert (seen.status, seen.error_class, seen.error_message) == (TaskStatus.COMPLETE, None, None)


def test_a_release_is_not_charged_and_queues_at_once(queue_harness: QueueHarness) -> None:
    queue = queue_harness.queue
    task = queue.enqueue(new_task())
    for fence in range(1, 9):
        claimed = claim(queue, f"worker-{fence}")
        assert claimed.attempt == fence
        assert queue.release(task, claimed.attempt, "drain") is FencedAnswer.OK
        assert queue.release(task, claimed.attempt, "drain") is FencedAnswer.LOST
        seen = view(queue, task)
        assert (seen.status, seen.attempts, seen.worker_id) == (TaskStatus.QUEUED, 0, None)
    rows = queue_harness.attempts(task)
    assert [(row.outcome, row.message) for row in rows] == [("released", "drain")] * 8
    assert complete(queue, claim(queue)) is CompleteAnswer.DONE


def test_why_a_task_waits_again_is_shown_until_it_runs(queue_harness: QueueHarness) -> None:
    queue = queue_harness.queue
    task = queue.enqueue(new_task())
    queue.release(task, claim(queue).attempt, "the disk is full")
    seen = view(queue, task)
    assert (seen.error_class, seen.error_message) == (None, "the disk is full")
    fail(queue, claim(queue), "INPUT_UNAVAILABLE", "no answer", retry=True)
    seen = view(queue, task)
    assert (seen.error_class, seen.error_message) == ("INPUT_UNAVAILABLE", "no answer")
    queue_harness.advance(10)
    claim(queue)
    seen = view(queue, task)
    assert (seen.error_class, seen.error_message) == (None, None)


def test_a_release_can_hold_the_task_back(queue_harness: QueueHarness) -> None:
    queue = queue_harness.queue
    task = queue.enqueue(new_task())
    queue.release(task, claim(queue).attempt, "no room", delay_seconds=30)
    queue_harness.advance(28)
    assert try_claim(queue) is None
    queue_harness.advance(3)
    assert claim(queue).task_id == task


@pytest.mark.parametrize("delay", [-1.0, float("nan"), float("inf")])
def test_a_release_cannot_wait_for_no_time(queue_harness: QueueHarness, delay: float) -> None:
    queue = queue_harness.queue
    task = queue.enqueue(new_task())
    claimed = claim(queue)
    with pytest.raises(BadParams, match="delay_seconds"):
        queue.release(task, claimed.attempt, "no room", delay)


def crash(harness: QueueHarness, worker: str) -> int:
    claimed = claim(harness.queue, worker)
    harness.advance(harness.lease_seconds + 1)
    return claimed.attempt


def test_two_crashes_on_two_workers_quarantine(queue_harness: QueueHarness) -> None:
    queue = queue_harness.queue
    task = queue.enqueue(new_task())
    dependant = queue.enqueue(new_task(after=(task,)))
    crash(queue_harness, "worker-1")
    crash(queue_harness, "worker-2")
    assert try_claim(queue, "worker-3") is None
    seen = view(queue, task)
    assert (seen.status, seen.error_class, seen.attempts) == (TaskStatus.FAILED, "QUARANTINED", 2)
    assert seen.error_message
    assert [row.outcome for row in queue_harness.attempts(task)] == ["crashed", "crashed"]
    assert view(queue, dependant).error_class == "DEPENDENCY_FAILED"


def test_five_crashes_on_one_worker_quarantine(queue_harness: QueueHarness) -> None:
    queue = queue_harness.queue
    task = queue.enqueue(new_task())
    for fence in range(1, 6):
        assert crash(queue_harness, "worker-1") == fence
    assert try_claim(queue, "worker-1") is None
    assert view(queue, task).error_class == "QUARANTINED"


def test_a_poison_task_does_not_stop_the_others(queue_harness: QueueHarness) -> None:
    queue = queue_harness.queue
    poison, good = queue.enqueue(new_task()), queue.enqueue(new_task())
    crash(queue_harness, "worker-1")
    crash(queue_harness, "worker-2")
    assert claim(queue, "worker-3").task_id == good
    assert status(queue, poison) is TaskStatus.FAILED


def test_crashes_and_errors_are_counted_apart(queue_harness: QueueHarness) -> None:
    queue = queue_harness.queue
    task = queue.enqueue(new_task())
    crash(queue_harness, "worker-1")
    for _ in range(3):
        fail(queue, claim(queue, "worker-2"), retry=True)
        queue_harness.advance(130)
    assert status(queue, task) is TaskStatus.QUEUED
    assert complete(queue, claim(queue, "worker-2")) is CompleteAnswer.DONE


def test_releases_are_no_crashes(queue_harness: QueueHarness) -> None:
    queue = queue_harness.queue
    task = queue.enqueue(new_task())
    for number in range(6):
        queue.release(task, claim(queue, f"worker-{number}").attempt, "drain")
    crash(queue_harness, "worker-1")
    assert claim(queue, "worker-2").task_id == task


def test_the_fence_rises_with_every_claim_however_the_attempt_ended(queue_harness: QueueHarness) -> None:
    queue = queue_harness.queue
    task = queue.enqueue(new_task())
    fences = [crash(queue_harness, "worker-1")]
    claimed = claim(queue)
    queue.release(task, claimed.attempt, "drain")
    fences.append(claimed.attempt)
    claimed = claim(queue)
    fail(queue, claimed, retry=True)
    fences.append(claimed.attempt)
    queue_harness.advance(10)
    fences.append(claim(queue).attempt)
    assert fences == [1, 2, 3, 4]
    assert view(queue, task).attempts == 3
