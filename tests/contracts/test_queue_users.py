"""What users put into the queue: parameters, names, dependencies, copies."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from headless.errors import BadParams
from headless.task import CancelAnswer, Json, NewTask, TaskStatus
from tests.contracts.calls import NOT_IDS, claim, complete, fail, movie_key, new_task, status, try_claim, view
from tests.contracts.harness import QueueHarness

HOSTILE = (
    "'; drop table tasks;--",
    "%s %n {0} {self.__class__} ${jndi:ldap://x}",
    '"]}}',
    "\u202egnp.tac",
    "Z\u0351\u036b\u0343a\u0302l\u034ego",
    "\u200b",
    "🎬 日本語 \u2028",
    "\x01\x1f\x7f",
    "((((" * 10_000,
)


def deep(levels: int) -> Json:
    tree: Json = "leaf"
    for _ in range(levels):
        tree = [tree]
    return tree


@pytest.mark.parametrize("text", HOSTILE)
def test_any_text_survives_the_queue(queue_harness: QueueHarness, text: str) -> None:
    queue = queue_harness.queue
    params: Json = {"prompt": text, text: 1}
    task = queue.enqueue(new_task(params))
    assert view(queue, task).params == params
    assert claim(queue).params == params


@pytest.mark.parametrize(
    "params", [None, [], "{}", 0, False, 1.5, {"a": {"b": [None, 2**53, -0.25]}}, deep(90)]
)
def test_any_json_survives_the_queue(queue_harness: QueueHarness, params: Json) -> None:
    queue = queue_harness.queue
    task = queue.enqueue(NewTask(params))
    claimed = claim(queue)
    assert (claimed.task_id, claimed.params) == (task, params)
    assert type(claimed.params) is type(params)


@pytest.mark.parametrize(
    ("params", "says"),
    [
        ({"prompt": "a\0b"}, "NUL"),
        ({"a\0b": 1}, "NUL"),
        ({"prompt": "\ud800"}, "surrogate"),
        ({"width": float("inf")}, "finite"),
        ([float("nan")], "finite"),
        ({"prompt": "x" * 1_000_001}, "1000000"),
        ([0] * 1_000_001, "1000000"),
        (deep(101), "100 levels"),
        (deep(100_000), "100 levels"),
        ({1: 2}, "keys"),
        ({"seed": 10**5000}, "JSON"),
        ({"image": b"bytes"}, "bytes"),
    ],
)
def test_parameters_that_cannot_be_stored_are_refused(
    queue_harness: QueueHarness, params: Any, says: str
) -> None:
    with pytest.raises(BadParams, match=says):
        queue_harness.queue.enqueue(NewTask(params))
    assert queue_harness.queue.queued() == 0


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("task_type", ""),
        ("task_type", "x" * 101),
        ("task_type", "a\0b"),
        ("priority", 2**31),
        ("priority", -(2**31) - 1),
        ("priority", True),
        ("priority", 1.5),
        ("run_after_seconds", -1),
        ("run_after_seconds", float("nan")),
        ("run_after_seconds", float("inf")),
        ("run_after_seconds", "soon"),
        ("idempotency_key", ""),
        ("idempotency_key", "x" * 201),
        ("idempotency_key", "a\0b"),
        ("project_id", ""),
        ("dependant_on", ("a\0b",)),
    ],
)
def test_fields_out_of_range_are_refused_by_name(queue_harness: QueueHarness, field: str, value: Any) -> None:
    with pytest.raises(BadParams, match=field):
        queue_harness.queue.enqueue(replace(new_task(), **{field: value}))
    assert queue_harness.queue.queued() == 0


def test_an_idempotency_key_queues_once(queue_harness: QueueHarness) -> None:
    queue = queue_harness.queue
    first = queue.enqueue(NewTask({"prompt": "one"}, idempotency_key="order 66"))
    again = queue.enqueue(NewTask({"prompt": "two"}, idempotency_key="order 66"))
    assert again == first
    assert view(queue, first).params == {"prompt": "one"}
    complete(queue, claim(queue))
    assert queue.enqueue(NewTask({}, idempotency_key="order 66")) == first
    assert queue.enqueue(NewTask({}, idempotency_key="order 67")) != first


def test_an_idempotency_key_belongs_to_its_owner(queue_harness: QueueHarness) -> None:
    task = NewTask({}, idempotency_key="same")
    mine = queue_harness.queue.enqueue(task)
    theirs = queue_harness.other_owner().enqueue(task)
    assert mine != theirs


def test_a_task_waits_for_all_its_parents(queue_harness: QueueHarness) -> None:
    queue = queue_harness.queue
    parents = [queue.enqueue(new_task()) for _ in range(2)]
    child = queue.enqueue(new_task(after=(*parents, parents[0]), priority=9))
    claims = [claim(queue) for _ in range(2)]
    assert {claimed.task_id for claimed in claims} == set(parents)
    complete(queue, claims[0])
    assert try_claim(queue) is None
    complete(queue, claims[1])
    assert claim(queue).task_id == child


def test_a_parent_that_is_complete_does_not_hold_up(queue_harness: QueueHarness) -> None:
    queue = queue_harness.queue
    parent = queue.enqueue(new_task())
    complete(queue, claim(queue))
    child = queue.enqueue(new_task(after=(parent,)))
    assert claim(queue).task_id == child


def test_a_failed_parent_fails_everything_below(queue_harness: QueueHarness) -> None:
    queue = queue_harness.queue
    parent = queue.enqueue(new_task())
    child = queue.enqueue(new_task(after=(parent,)))
    grandchild = queue.enqueue(new_task(after=(child,)))
    bystander = queue.enqueue(new_task())
    fail(queue, claim(queue), "BAD_INPUT", "the image is a text file")
    for task in (child, grandchild):
        seen = view(queue, task)
        assert (seen.status, seen.error_class) == (TaskStatus.FAILED, "DEPENDENCY_FAILED")
        assert seen.error_message is not None
        assert parent in seen.error_message
        assert "the image is a text file" in seen.error_message
    assert claim(queue).task_id == bystander


def test_a_parent_that_is_tried_again_holds_up(queue_harness: QueueHarness) -> None:
    queue = queue_harness.queue
    parent = queue.enqueue(new_task())
    child = queue.enqueue(new_task(after=(parent,)))
    fail(queue, claim(queue), retry=True)
    assert status(queue, child) is TaskStatus.QUEUED
    assert try_claim(queue) is None


def test_a_cancelled_parent_fails_everything_below(queue_harness: QueueHarness) -> None:
    queue = queue_harness.queue
    parents = [queue.enqueue(new_task()) for _ in range(2)]
    children = [queue.enqueue(new_task(after=(parent,))) for parent in parents]
    running = claim(queue)
    queue.cancel(running.task_id)
    fail(queue, running, "CANCELLED", "stopped")
    assert queue.cancel(parents[1]) is CancelAnswer.CANCELLED
    assert [status(queue, child) for child in children] == [TaskStatus.FAILED] * 2


@pytest.mark.parametrize("parent", NOT_IDS)
def test_an_unknown_parent_is_refused(queue_harness: QueueHarness, parent: str) -> None:
    with pytest.raises(BadParams, match="dependant_on"):
        queue_harness.queue.enqueue(new_task(after=(parent,)))
    assert queue_harness.queue.queued() == 0


def test_a_parent_that_will_never_be_complete_is_refused(queue_harness: QueueHarness) -> None:
    queue = queue_harness.queue
    parent = queue.enqueue(new_task())
    queue.cancel(parent)
    with pytest.raises(BadParams, match=parent):
        queue.enqueue(new_task(after=(parent,)))


def test_a_long_chain_fails_as_one(queue_harness: QueueHarness) -> None:
    queue = queue_harness.queue
    first = last = queue.enqueue(new_task())
    for _ in range(60):
        last = queue.enqueue(new_task(after=(last,)))
    queue.cancel(first)
    assert view(queue, last).error_class == "DEPENDENCY_FAILED"
    assert queue.queued() == 0


def test_a_retry_queues_a_copy_that_names_its_origin(queue_harness: QueueHarness) -> None:
    queue = queue_harness.queue
    task = queue.enqueue(NewTask({"prompt": "a cat"}, task_type="travel", priority=3, idempotency_key="once"))
    fail(queue, claim(queue))
    copy = queue.retry(task)
    assert copy is not None
    assert copy != task
    old, new = view(queue, task), view(queue, copy)
    assert (old.status, old.origin) == (TaskStatus.FAILED, None)
    assert (new.status, new.origin, new.attempts) == (TaskStatus.QUEUED, task, 0)
    assert (new.params, new.task_type, new.priority) == (old.params, old.task_type, old.priority)
    claimed = claim(queue)
    assert (claimed.task_id, claimed.owner) == (copy, queue_harness.owner)
    assert queue.complete(copy, claimed.attempt, movie_key(claimed), "0" * 64, {})
    assert status(queue, task) is TaskStatus.FAILED


def test_only_a_finished_task_can_be_copied(queue_harness: QueueHarness) -> None:
    queue = queue_harness.queue
    task = queue.enqueue(new_task())
    assert queue.retry(task) is None
    claimed = claim(queue)
    assert queue.retry(task) is None
    complete(queue, claimed)
    assert len({queue.retry(task), queue.retry(task), None}) == 3


def test_a_copy_keeps_parents_that_are_complete(queue_harness: QueueHarness) -> None:
    queue = queue_harness.queue
    parent = queue.enqueue(new_task())
    complete(queue, claim(queue))
    child = queue.enqueue(new_task(after=(parent,)))
    fail(queue, claim(queue))
    copy = queue.retry(child)
    assert claim(queue).task_id == copy


def test_a_copy_of_a_chain_follows_the_copied_parent(queue_harness: QueueHarness) -> None:
    queue = queue_harness.queue
    parent = queue.enqueue(new_task())
    child = queue.enqueue(new_task(after=(parent,)))
    fail(queue, claim(queue))
    with pytest.raises(BadParams, match=parent):
        queue.retry(child)
    new_parent = queue.retry(parent)
    new_child = queue.retry(child)
    assert new_child is not None
    claimed = claim(queue)
    assert claimed.task_id == new_parent
    assert try_claim(queue) is None
    complete(queue, claimed)
    assert claim(queue).task_id == new_child
