"""Who is served first, and what a user sees of the line."""

from __future__ import annotations

import pytest

from headless.errors import BadParams
from headless.ports import TaskQueue
from headless.task import TaskStatus
from tests.contracts.calls import claim, complete, fail, new_task, try_claim, view
from tests.contracts.harness import QueueHarness


def claimed_order(queue: TaskQueue, model: str | None = None) -> list[str]:
    order = []
    while claimed := try_claim(queue, model=model):
        order.append(claimed.task_id)
        complete(queue, claimed)
    return order


def test_the_oldest_is_served_first(queue_harness: QueueHarness) -> None:
    queue = queue_harness.queue
    tasks = []
    for _ in range(4):
        tasks.append(queue.enqueue(new_task()))
        queue_harness.advance(1)
    assert claimed_order(queue) == tasks


def test_a_higher_priority_is_served_first(queue_harness: QueueHarness) -> None:
    queue = queue_harness.queue
    low, middle, high = (queue.enqueue(new_task(priority=priority)) for priority in (-5, 0, 5))
    assert claimed_order(queue) == [high, middle, low]


def test_a_task_waits_until_it_is_due(queue_harness: QueueHarness) -> None:
    queue = queue_harness.queue
    later, now = queue.enqueue(new_task(delay=100)), queue.enqueue(new_task())
    assert claimed_order(queue) == [now]
    queue_harness.advance(98)
    assert try_claim(queue) is None
    queue_harness.advance(3)
    assert claimed_order(queue) == [later]


def test_the_owner_with_fewer_running_tasks_is_served_first(queue_harness: QueueHarness) -> None:
    queue, other = queue_harness.queue, queue_harness.other_owner()
    greedy = [queue.enqueue(new_task()) for _ in range(4)]
    modest = other.enqueue(new_task())
    claims = [claim(queue) for _ in range(3)]
    assert [claimed.task_id for claimed in claims] == [greedy[0], modest, greedy[1]]
    assert claims[1].owner != claims[0].owner


def test_priority_comes_before_fairness(queue_harness: QueueHarness) -> None:
    queue, other = queue_harness.queue, queue_harness.other_owner()
    urgent = [queue.enqueue(new_task(priority=1)) for _ in range(2)]
    other.enqueue(new_task())
    assert [claim(queue).task_id for _ in range(2)] == urgent


def test_a_vanished_workers_task_does_not_count_as_running(queue_harness: QueueHarness) -> None:
    queue, other = queue_harness.queue, queue_harness.other_owner()
    first = queue.enqueue(new_task())
    claim(queue)
    queue_harness.advance(queue_harness.lease_seconds + 1)
    second = other.enqueue(new_task())
    assert [claim(queue).task_id for _ in range(2)] == [first, second]


def test_an_expired_lease_stands_in_line_by_age_and_priority(queue_harness: QueueHarness) -> None:
    queue = queue_harness.queue
    old = queue.enqueue(new_task())
    claim(queue)
    young, urgent = queue.enqueue(new_task()), queue.enqueue(new_task(priority=1))
    queue_harness.advance(queue_harness.lease_seconds + 1)
    assert claimed_order(queue) == [urgent, old, young]


@pytest.mark.parametrize("field", ["model", "model_name"])
def test_a_worker_prefers_its_loaded_model(queue_harness: QueueHarness, field: str) -> None:
    queue = queue_harness.queue
    cold, warm = queue.enqueue(new_task({field: "other"})), queue.enqueue(new_task({field: "loaded"}))
    assert claimed_order(queue, model="loaded") == [warm, cold]


def test_warmth_gives_way_after_a_minute(queue_harness: QueueHarness) -> None:
    queue = queue_harness.queue
    cold = queue.enqueue(new_task({"model": "other"}))
    queue_harness.advance(58)
    warm = queue.enqueue(new_task({"model": "loaded"}))
    assert claim(queue, model="loaded").task_id == warm
    queue.enqueue(new_task({"model": "loaded"}))
    queue_harness.advance(3)
    assert claim(queue, model="loaded").task_id == cold


def test_warmth_does_not_beat_priority(queue_harness: QueueHarness) -> None:
    queue = queue_harness.queue
    warm, urgent = queue.enqueue(new_task({"model": "loaded"})), queue.enqueue(new_task(priority=1))
    assert claimed_order(queue, model="loaded") == [urgent, warm]


def test_without_a_loaded_model_age_decides(queue_harness: QueueHarness) -> None:
    queue = queue_harness.queue
    tasks = [queue.enqueue(new_task({"model": name})) for name in ("b", "a", "c")]
    assert claimed_order(queue) == tasks


@pytest.mark.parametrize(
    "params", [{}, [], "text", 7, True, {"model": 5}, {"model": ["a"]}, {"model": "x" * 5000}]
)
def test_odd_parameters_wait_their_turn(queue_harness: QueueHarness, params: object) -> None:
    queue = queue_harness.queue
    odd = queue.enqueue(new_task(params))  # type: ignore[arg-type]  # what users send
    warm = queue.enqueue(new_task({"model": "loaded"}))
    assert claimed_order(queue, model="loaded") == [warm, odd]


def test_positions_follow_priority_then_age(queue_harness: QueueHarness) -> None:
    queue = queue_harness.queue
    running = queue.enqueue(new_task(priority=9))
    first, second = queue.enqueue(new_task()), queue.enqueue(new_task())
    urgent = queue.enqueue(new_task(priority=1))
    claim(queue)
    positions = [view(queue, task).queue_position for task in (running, first, second, urgent)]
    assert positions == [None, 2, 3, 1]


def test_the_list_is_newest_first_and_can_be_narrowed(queue_harness: QueueHarness) -> None:
    queue = queue_harness.queue
    tasks = []
    for _ in range(5):
        tasks.append(queue.enqueue(new_task()))
        queue_harness.advance(1)
    complete(queue, claim(queue))
    assert [task.id for task in queue.list()] == tasks[::-1]
    assert [task.id for task in queue.list(limit=2)] == [tasks[4], tasks[3]]
    assert [task.id for task in queue.list(TaskStatus.COMPLETE)] == [tasks[0]]
    assert queue.list(TaskStatus.FAILED) == []
    assert queue.list(limit=1)[0] == view(queue, tasks[4])


@pytest.mark.parametrize("limit", [0, -1])
def test_a_list_of_nothing_is_refused(queue_harness: QueueHarness, limit: int) -> None:
    with pytest.raises(BadParams, match="limit"):
        queue_harness.queue.list(limit=limit)


def test_the_number_waiting_counts_what_needs_a_worker(queue_harness: QueueHarness) -> None:
    queue = queue_harness.queue
    assert queue.queued() == 0
    running = queue.enqueue(new_task())
    queue.enqueue(new_task(after=(running,)))
    queue.enqueue(new_task(delay=500))
    assert queue.queued() == 3
    claimed = claim(queue)
    assert queue.queued() == 2
    queue_harness.advance(queue_harness.lease_seconds + 1)
    assert queue.queued() == 3
    fail(queue, claimed)
    assert queue.queued() == 1
