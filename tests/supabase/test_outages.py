"""PostgreSQL goes away and comes back under a worker's calls. These tests have a project of their own."""

from __future__ import annotations

import threading
import uuid
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

import pytest

from headless.adapters.supabase_client import connect
from headless.adapters.supabase_queue import SupabaseQueue
from headless.errors import QueueUnavailable
from headless.task import Capability, Claim, CompleteAnswer, NewTask, Phase, Progress, RenewAnswer
from tests.supabase.stack import DATABASE, Stack

T = TypeVar("T")

TASKS = 60
SHA = "12" * 32


@pytest.fixture(scope="module")
def stack() -> Iterator[Stack]:
    with Stack() as stack:
        yield stack


@pytest.fixture
def queue(stack: Stack) -> Iterator[SupabaseQueue]:
    stack.reset()
    queue = SupabaseQueue(connect(stack.url, stack.keys.secret))
    yield queue
    queue.close()


def test_a_held_task_survives_a_crash_of_the_database(stack: Stack, queue: SupabaseQueue) -> None:
    task = queue.enqueue(NewTask({}))
    claim = queue.claim("w", "c", Capability())
    assert claim is not None
    stack.cluster.restart(immediate=True)
    assert (
        _persistently(lambda: queue.renew(task, claim.attempt, Progress(Phase.DENOISING))) is RenewAnswer.OK
    )
    assert queue.claim("w", "c", Capability()) == claim
    stack.cluster.restart()
    assert _complete(queue, claim) in (CompleteAnswer.DONE, CompleteAnswer.ALREADY)
    assert _complete(queue, claim) is CompleteAnswer.ALREADY


def _terminate(stack: Stack) -> None:
    stack.cluster.terminate_backends(DATABASE)


def _crash(stack: Stack) -> None:
    stack.cluster.restart(immediate=True)


@pytest.mark.parametrize(("disturb", "times"), [(_terminate, 6), (_crash, 2)])
def test_nothing_is_lost_or_doubled_under_load(
    stack: Stack, queue: SupabaseQueue, disturb: Callable[[Stack], None], times: int
) -> None:
    for _ in range(TASKS):
        queue.enqueue(NewTask({}))
    progress = [threading.Event() for _ in range(times)]
    done: list[str] = []

    def work(number: int) -> None:
        while (claim := _claim(queue, f"w{number}")) is not None:
            _complete(queue, claim)
            done.append(claim.task_id)
            reached = len(done) * (times + 1) // TASKS
            for event in progress[:reached]:
                event.set()

    with ThreadPoolExecutor(4) as pool:
        workers = [pool.submit(work, number) for number in range(4)]
        for event in progress:
            assert event.wait(60)
            disturb(stack)
        for worker in workers:
            worker.result(120)
    assert stack.sql("select status, count(*) from public.tasks group by 1") == [("Complete", TASKS)]
    assert stack.sql("select count(*) from public.task_outputs") == [(TASKS,)]
    assert stack.sql("select count(*) from public.task_attempts") == [(TASKS,)]


def _claim(queue: SupabaseQueue, worker: str) -> Claim | None:
    claim_id = str(uuid.uuid4())
    return _persistently(lambda: queue.claim(worker, claim_id, Capability()))


def _complete(queue: SupabaseQueue, claim: Claim) -> CompleteAnswer:
    key = f"{claim.output_prefix}/movie.mp4"
    return _persistently(lambda: queue.complete(claim.task_id, claim.attempt, key, SHA, {}))


def _persistently(call: Callable[[], T]) -> T:
    """As a worker does: an unavailable queue is asked again."""
    for _ in range(20):
        try:
            return call()
        except QueueUnavailable:
            continue
    raise AssertionError("the queue did not come back")
