"""Claims, leases and fences."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor

import pytest

from headless.errors import BadParams
from headless.task import (
    CancelAnswer,
    Capability,
    Checkpoint,
    Claim,
    CompleteAnswer,
    FencedAnswer,
    Json,
    NewTask,
    Phase,
    Progress,
    RenewAnswer,
    TaskStatus,
)
from tests.contracts.calls import (
    NOT_IDS,
    PROGRESS,
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


def test_an_empty_queue_answers_none(queue_harness: QueueHarness) -> None:
    assert try_claim(queue_harness.queue) is None


def test_a_claim_carries_everything_that_the_worker_needs(queue_harness: QueueHarness) -> None:
    queue = queue_harness.queue
    params: Json = {"prompt": "a cat", "num_frames": 81, "nested": [1, None, {"x": 0.5}]}
    task = queue.enqueue(NewTask(params, task_type="travel", project_id=None))
    claimed = claim(queue)
    assert claimed.task_id == task
    assert claimed.attempt == 1
    assert claimed.task_type == "travel"
    assert claimed.params == params
    assert claimed.owner == queue_harness.owner == queue.owner
    assert claimed.lease_seconds == queue_harness.lease_seconds
    assert claimed.output_prefix == f"outputs/{queue_harness.owner}/{task}/1"
    assert claimed.checkpoints == ()


def test_a_claimed_task_is_in_progress_and_not_claimed_again(queue_harness: QueueHarness) -> None:
    queue = queue_harness.queue
    task = queue.enqueue(new_task())
    claim(queue, "worker-1")
    seen = view(queue, task)
    assert (seen.status, seen.worker_id, seen.attempts) == (TaskStatus.IN_PROGRESS, "worker-1", 1)
    assert seen.phase == Phase.CLAIMED
    assert seen.generation_started_at is not None
    assert seen.queue_position is None
    assert try_claim(queue, "worker-2") is None


def test_a_repeated_claim_id_answers_the_same_claim_once_charged(queue_harness: QueueHarness) -> None:
    queue = queue_harness.queue
    task = queue.enqueue(new_task())
    queue.enqueue(new_task())
    first = queue.claim("worker-1", "claim-1", Capability())
    assert first is not None
    assert queue.claim("worker-1", "claim-1", Capability()) == first
    assert view(queue, task).attempts == 1
    assert len(queue_harness.attempts(task)) == 1


def test_a_repeated_claim_id_restarts_the_lease(queue_harness: QueueHarness) -> None:
    queue = queue_harness.queue
    queue.enqueue(new_task())
    queue.claim("worker-1", "claim-1", Capability())
    queue_harness.advance(queue_harness.lease_seconds + 1)
    assert queue.claim("worker-1", "claim-1", Capability()) is not None
    assert try_claim(queue, "worker-2") is None


def test_a_spent_claim_id_answers_none(queue_harness: QueueHarness) -> None:
    queue = queue_harness.queue
    queue.enqueue(new_task())
    queue.enqueue(new_task())
    claimed = queue.claim("worker-1", "claim-1", Capability())
    assert claimed is not None
    complete(queue, claimed)
    assert queue.claim("worker-1", "claim-1", Capability()) is None


def test_a_claim_id_is_no_use_to_another_worker(queue_harness: QueueHarness) -> None:
    queue = queue_harness.queue
    queue.enqueue(new_task())
    queue.claim("worker-1", "claim-1", Capability())
    assert queue.claim("worker-2", "claim-1", Capability()) is None


def test_a_claim_id_that_got_nothing_can_be_used_again(queue_harness: QueueHarness) -> None:
    queue = queue_harness.queue
    assert queue.claim("worker-1", "claim-1", Capability()) is None
    task = queue.enqueue(new_task())
    claimed = queue.claim("worker-1", "claim-1", Capability())
    assert claimed is not None
    assert claimed.task_id == task


def test_an_expired_lease_is_taken_over_by_the_claim_itself(queue_harness: QueueHarness) -> None:
    queue = queue_harness.queue
    task = queue.enqueue(new_task())
    first = claim(queue, "worker-1")
    queue_harness.advance(queue_harness.lease_seconds - 1)
    assert try_claim(queue, "worker-2") is None
    queue_harness.advance(2)
    second = claim(queue, "worker-2")
    assert (second.task_id, second.attempt) == (task, first.attempt + 1)
    assert second.output_prefix != first.output_prefix
    assert [row.outcome for row in queue_harness.attempts(task)] == ["crashed", "running"]


def test_a_renewal_keeps_the_lease(queue_harness: QueueHarness) -> None:
    queue = queue_harness.queue
    queue.enqueue(new_task())
    claimed = claim(queue)
    for _ in range(3):
        queue_harness.advance(queue_harness.lease_seconds * 0.9)
        assert try_claim(queue, "worker-2") is None
        assert queue.renew(claimed.task_id, claimed.attempt, PROGRESS) is RenewAnswer.OK


def test_a_renewal_reports_phase_progress_and_preview(queue_harness: QueueHarness) -> None:
    queue = queue_harness.queue
    task = queue.enqueue(new_task())
    claimed = claim(queue)
    preview = f"{claimed.output_prefix}/preview.webp"
    report = Progress(Phase.DECODING, 1, 3, 8, 8, 43.2, preview)
    queue.renew(task, claimed.attempt, report)
    queue.renew(task, claimed.attempt, PROGRESS)
    seen = view(queue, task)
    assert seen.phase == Phase.DENOISING
    assert dict(seen.progress) == PROGRESS.as_json()
    assert seen.preview_location == preview


def test_a_lease_that_nobody_took_is_still_its_owners(queue_harness: QueueHarness) -> None:
    queue = queue_harness.queue
    renewed, completed, failed, released = [queue.enqueue(new_task()) for _ in range(4)]
    claims = [claim(queue) for _ in range(4)]
    queue_harness.advance(queue_harness.lease_seconds * 2)
    assert queue.renew(renewed, claims[0].attempt, PROGRESS) is RenewAnswer.OK
    assert complete(queue, claims[1]) is CompleteAnswer.DONE
    assert fail(queue, claims[2]) is FencedAnswer.OK
    assert queue.release(released, claims[3].attempt, "drain") is FencedAnswer.OK
    assert [status(queue, task) for task in (renewed, completed, failed, released)] == [
        TaskStatus.IN_PROGRESS,
        TaskStatus.COMPLETE,
        TaskStatus.FAILED,
        TaskStatus.QUEUED,
    ]


def all_fenced_calls_answer_lost(harness: QueueHarness, task: str, attempt: int) -> None:
    queue, key = harness.queue, f"outputs/{harness.owner}/task/1/movie.mp4"
    assert queue.renew(task, attempt, PROGRESS) is RenewAnswer.LOST
    assert queue.checkpoint(task, attempt, 0, "hash", key) is FencedAnswer.LOST
    assert queue.complete(task, attempt, key, "0" * 64, {}) is CompleteAnswer.LOST
    assert queue.fail(task, attempt, "BAD_INPUT", "no", True) is FencedAnswer.LOST
    assert queue.fail(task, attempt, "CANCELLED", "no", False) is FencedAnswer.LOST
    assert queue.release(task, attempt, "drain") is FencedAnswer.LOST


def test_a_zombie_changes_nothing(queue_harness: QueueHarness) -> None:
    queue = queue_harness.queue
    task = queue.enqueue(new_task())
    zombie = claim(queue, "worker-1")
    queue_harness.advance(queue_harness.lease_seconds * 2)
    owner = claim(queue, "worker-2")
    queue.checkpoint(task, owner.attempt, 0, "hash of two", f"{owner.output_prefix}/0.safetensors")
    before = view(queue, task)
    all_fenced_calls_answer_lost(queue_harness, task, zombie.attempt)
    assert view(queue, task) == before
    assert complete(queue, owner) is CompleteAnswer.DONE
    before = view(queue, task)
    all_fenced_calls_answer_lost(queue_harness, task, zombie.attempt)
    assert view(queue, task) == before


@pytest.mark.parametrize("step", [-1, 1, 2**31, 2**70])
def test_another_attempt_number_is_refused(queue_harness: QueueHarness, step: int) -> None:
    queue = queue_harness.queue
    task = queue.enqueue(new_task())
    claimed = claim(queue)
    all_fenced_calls_answer_lost(queue_harness, task, claimed.attempt + step)
    assert status(queue, task) is TaskStatus.IN_PROGRESS


@pytest.mark.parametrize("task", NOT_IDS)
def test_an_unknown_task_is_lost_not_an_error(queue_harness: QueueHarness, task: str) -> None:
    all_fenced_calls_answer_lost(queue_harness, task, 1)
    assert queue_harness.queue.get(task) is None
    assert queue_harness.queue.cancel(task) is CancelAnswer.UNKNOWN
    assert queue_harness.queue.retry(task) is None


def test_checkpoints_come_back_in_the_next_claim(queue_harness: QueueHarness) -> None:
    queue = queue_harness.queue
    task = queue.enqueue(new_task())
    first = claim(queue)
    keys = [f"{first.output_prefix}/{index}.safetensors" for index in range(3)]
    for index in (0, 1):
        assert queue.checkpoint(task, first.attempt, index, f"hash {index}", keys[index]) is FencedAnswer.OK
    assert queue.checkpoint(task, first.attempt, 1, "hash again", keys[2]) is FencedAnswer.OK
    queue_harness.advance(queue_harness.lease_seconds + 1)
    second = claim(queue, "worker-2")
    kept = (Checkpoint(0, "hash 0", keys[0]), Checkpoint(1, "hash again", keys[2]))
    assert second.checkpoints == kept
    newer = f"{second.output_prefix}/2.safetensors"
    queue.checkpoint(task, second.attempt, 2, "hash 2", newer)
    queue.release(task, second.attempt, "drain")
    assert claim(queue).checkpoints == (*kept, Checkpoint(2, "hash 2", newer))


def test_a_checkpoint_needs_an_index_from_zero(queue_harness: QueueHarness) -> None:
    queue = queue_harness.queue
    task = queue.enqueue(new_task())
    claimed = claim(queue)
    with pytest.raises(BadParams, match="-1"):
        queue.checkpoint(task, claimed.attempt, -1, "hash", movie_key(claimed))


def test_a_worker_may_hold_several_tasks(queue_harness: QueueHarness) -> None:
    queue = queue_harness.queue
    tasks = [queue.enqueue(new_task()) for _ in range(2)]
    running, prefetched = claim(queue), claim(queue)
    assert [running.task_id, prefetched.task_id] == tasks
    assert complete(queue, running) is CompleteAnswer.DONE
    assert queue.renew(prefetched.task_id, prefetched.attempt, PROGRESS) is RenewAnswer.OK


def test_two_connections_see_one_queue(queue_harness: QueueHarness) -> None:
    queue, other = queue_harness.queue, queue_harness.second_connection()
    task = queue.enqueue(new_task())
    claimed = claim(other, "worker-2")
    assert try_claim(queue) is None
    assert queue.renew(task, claimed.attempt, PROGRESS) is RenewAnswer.OK
    assert complete(other, claimed) is CompleteAnswer.DONE
    assert status(queue, task) is TaskStatus.COMPLETE


def test_of_many_workers_one_wins_one_task(queue_harness: QueueHarness) -> None:
    queue = queue_harness.queue
    task = queue.enqueue(new_task())
    start = threading.Barrier(16)

    def bid(number: int) -> Claim | None:
        start.wait(60)
        return try_claim(queue, f"worker-{number}")

    with ThreadPoolExecutor(16) as pool:
        claims = [claimed for claimed in pool.map(bid, range(16)) if claimed is not None]
    assert [claimed.task_id for claimed in claims] == [task]
    assert view(queue, task).attempts == 1


def test_many_workers_share_many_tasks(queue_harness: QueueHarness) -> None:
    queue = queue_harness.queue
    tasks = {queue.enqueue(new_task()) for _ in range(40)}

    def work(number: int) -> list[str]:
        done = []
        while claimed := try_claim(queue, f"worker-{number}"):
            assert complete(queue, claimed) is CompleteAnswer.DONE
            done.append(claimed.task_id)
        return done

    with ThreadPoolExecutor(8) as pool:
        done = [task for some in pool.map(work, range(8)) for task in some]
    assert len(done) == 40
    assert set(done) == tasks
