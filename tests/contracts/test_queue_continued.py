"""What a claim tells of the task that is continued: a worker with a token of its own may look at no other."""

from __future__ import annotations

import pytest

from headless.ports import TaskQueue
from headless.task import Claim, Continued, Json, NewTask, TaskStatus
from tests.contracts.calls import SHA, claim, complete, fail, movie_key, new_task, view
from tests.contracts.harness import QueueHarness

FIELDS = ("continue_from", "extend_from")


def latents_key(claimed: Claim) -> str:
    return f"{claimed.output_prefix}/latents.safetensors"


def finished(queue: TaskQueue, *, latents: bool = True, worker: str = "worker-1") -> Continued:
    """A Complete task, as another one that continues it should hear of it."""
    queue.enqueue(new_task())
    claimed = claim(queue, worker)
    files: dict[str, Json] = {"latents": {"key": latents_key(claimed)}} if latents else {}
    queue.complete(claimed.task_id, claimed.attempt, movie_key(claimed), SHA, {"files": files})
    key = latents_key(claimed) if latents else None
    return Continued(TaskStatus.COMPLETE, key, movie_key(claimed), claimed.task_id)


def the_task(told: Continued) -> str:
    assert told.task_id is not None
    return told.task_id


def heard(queue: TaskQueue, params: Json = None, *after: Continued) -> Continued | None:
    """What the claim of a new task tells."""
    queue.enqueue(new_task(params, after=tuple(map(the_task, after))))
    return claim(queue, "worker-2").continued


@pytest.mark.parametrize("field", FIELDS)
def test_a_claim_names_the_files_of_the_task_that_it_continues(
    queue_harness: QueueHarness, field: str
) -> None:
    queue = queue_harness.queue
    earlier = finished(queue)
    for name in (the_task(earlier), the_task(earlier).upper()):
        assert heard(queue, {field: name}) == earlier


@pytest.mark.parametrize("files", [None, {}, {"latents": {"key": None}}, {"latents": "none"}, "none"])
def test_a_task_without_latents_is_named_without_them(queue_harness: QueueHarness, files: Json) -> None:
    queue = queue_harness.queue
    queue.enqueue(new_task())
    first = claim(queue)
    queue.complete(first.task_id, first.attempt, movie_key(first), SHA, {"files": files})
    told = Continued(TaskStatus.COMPLETE, None, movie_key(first), first.task_id)
    assert heard(queue, {"continue_from": first.task_id}) == told


def test_a_claim_says_how_far_the_task_is_that_it_continues(queue_harness: QueueHarness) -> None:
    queue = queue_harness.queue
    first = queue.enqueue(new_task())
    claim(queue)
    told = Continued(TaskStatus.IN_PROGRESS, None, None, first)
    assert heard(queue, {"continue_from": first}) == told


@pytest.mark.parametrize("field", FIELDS)
@pytest.mark.parametrize(
    "name", [None, 7, [], "storage://inputs/a/b.mp4", "", "00000000-0000-4000-8000-00000000dead", "x" * 36]
)
def test_what_is_no_task_is_not_continued(queue_harness: QueueHarness, field: str, name: Json) -> None:
    assert heard(queue_harness.queue, {field: name}) is None


def test_a_task_of_another_owner_is_not_continued(queue_harness: QueueHarness) -> None:
    theirs = queue_harness.other_owner().enqueue(new_task())
    claim(queue_harness.queue)
    assert heard(queue_harness.queue, {"continue_from": theirs}) is None


@pytest.mark.parametrize("params", [None, {"continue_from": None, "extend_from": "x.mp4"}, [], "text"])
def test_a_task_that_names_none_continues_the_one_that_it_depended_on(
    queue_harness: QueueHarness, params: Json
) -> None:
    queue = queue_harness.queue
    earlier = finished(queue, worker="worker-9")
    assert heard(queue, params, earlier) == earlier


def test_of_several_dependencies_the_last_that_left_latents_counts(queue_harness: QueueHarness) -> None:
    queue = queue_harness.queue
    done = [finished(queue), finished(queue), finished(queue, latents=False)]
    assert heard(queue, None, done[0], done[1], done[2]) == done[1]
    assert heard(queue, None, done[1], done[0], done[2]) == done[0]
    assert heard(queue, None, done[2], done[1], done[0], done[1]) == done[0]


def test_without_any_latents_it_is_the_last_of_all(queue_harness: QueueHarness) -> None:
    queue = queue_harness.queue
    done = [finished(queue, latents=False) for _ in range(3)]
    assert heard(queue, None, *done) == done[2]
    assert heard(queue, None, *reversed(done)) == done[0]


def test_a_named_task_wins_over_dependencies(queue_harness: QueueHarness) -> None:
    queue = queue_harness.queue
    named, parent = finished(queue), finished(queue)
    assert heard(queue, {"continue_from": the_task(named)}, parent) == named
    assert heard(queue, {"extend_from": the_task(named)}, parent) == named
    unknown = "00000000-0000-4000-8000-00000000dead"
    assert heard(queue, {"continue_from": unknown}, parent) is None


def test_a_chain_of_dependent_tasks_hands_over_link_by_link(queue_harness: QueueHarness) -> None:
    """Queued at once, run by another worker each: what existing frontends do with the segments of a video."""
    queue = queue_harness.queue
    before: str | None = None
    for index in range(3):
        after = () if before is None else (before,)
        before = queue.enqueue(
            NewTask({"segment_index": index}, task_type="travel_segment", dependant_on=after)
        )
    told: list[Continued | None] = []
    keys: list[str | None] = [None]
    for index in range(3):
        claimed = claim(queue, f"worker-{index}")
        told.append(claimed.continued)
        keys.append(latents_key(claimed))
        files: Json = {"latents": {"key": latents_key(claimed)}}
        queue.complete(claimed.task_id, claimed.attempt, movie_key(claimed), SHA, {"files": files})
    assert [link.latents_key if link else None for link in told] == keys[:3]


def test_a_repeated_claim_tells_the_same(queue_harness: QueueHarness) -> None:
    queue = queue_harness.queue
    earlier = finished(queue)
    queue.enqueue(new_task(after=(the_task(earlier),)))
    first = claim(queue)
    queue_harness.advance(queue_harness.lease_seconds + 1)
    assert claim(queue, "worker-2").continued == first.continued == earlier


def test_a_copy_keeps_the_order_of_dependencies(queue_harness: QueueHarness) -> None:
    queue = queue_harness.queue
    done = [finished(queue), finished(queue)]
    task = queue.enqueue(new_task(after=(the_task(done[1]), the_task(done[0]))))
    assert claim(queue).continued == done[0]
    fail(queue, claim_of(queue, task))
    assert queue.retry(task) is not None
    assert claim(queue).continued == done[0]


def claim_of(queue: TaskQueue, task: str) -> Claim:
    """The claim of a task whose first attempt is running."""
    return Claim(task, 1, "generate", None, queue.owner, 60.0, f"outputs/{queue.owner}/{task}/1")


def test_a_checkpoint_may_be_a_segment_of_the_owner(queue_harness: QueueHarness) -> None:
    queue = queue_harness.queue
    task = queue.enqueue(new_task())
    claimed = claim(queue)
    key = f"segments/{queue_harness.owner}/{SHA}.safetensors"
    queue.checkpoint(task, claimed.attempt, 0, SHA, key)
    queue.release(task, claimed.attempt, "drain")
    assert [found.object_key for found in claim(queue).checkpoints] == [key]
    complete(queue, claimed)


def test_a_user_sees_what_a_task_depends_on_in_order(queue_harness: QueueHarness) -> None:
    queue = queue_harness.queue
    parents = [queue.enqueue(new_task()) for _ in range(3)]
    order = (parents[2], parents[0], parents[1])
    task = queue.enqueue(new_task(after=(*order, parents[2])))
    assert view(queue, task).dependant_on == order
    assert view(queue, parents[0]).dependant_on == ()
    assert {seen.id: seen.dependant_on for seen in queue.list()}[task] == order
