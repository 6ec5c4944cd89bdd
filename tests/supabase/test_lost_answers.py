"""The answer of every call is lost once. Nothing is done twice, and nothing is left undone."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from headless.adapters.supabase_client import connect
from headless.adapters.supabase_queue import SupabaseQueue
from headless.task import (
    CancelAnswer,
    Capability,
    CompleteAnswer,
    FencedAnswer,
    NewTask,
    Phase,
    Progress,
    RenewAnswer,
    TaskStatus,
)
from tests.supabase.losing import LosingTransport, once_each
from tests.supabase.stack import Stack

SHA = "ef" * 32
EVERYTHING = {
    "POST enqueue_task_v1",
    "POST claim_task_v1",
    "POST renew_lease_v1",
    "POST checkpoint_segment_v1",
    "POST complete_task_v1",
    "POST retry_task_v1",
    "POST cancel_task_v1",
    "GET task_status_v1",
    "GET queue_depth_v1",
}


def no_sleep(_: float) -> None:
    """Retries need not wait here."""


@pytest.fixture
def losing() -> LosingTransport:
    return LosingTransport(once_each())


@pytest.fixture
def queue(supabase_stack: Stack, losing: LosingTransport) -> Iterator[SupabaseQueue]:
    """A queue of which the first answer of every function is lost."""
    queue = SupabaseQueue(
        connect(supabase_stack.url, supabase_stack.keys.secret, transport=losing), sleep=no_sleep
    )
    yield queue
    queue.close()


def test_a_whole_job_survives_the_loss_of_every_answer(
    supabase_stack: Stack, losing: LosingTransport, queue: SupabaseQueue
) -> None:
    task = queue.enqueue(NewTask({"prompt": "a cat"}))
    assert queue.queued() == 1
    claim = queue.claim("w", "c", Capability())
    assert claim is not None
    assert claim.attempt == 1
    own = (task, claim.attempt)
    assert queue.renew(*own, Progress(Phase.DENOISING)) is RenewAnswer.OK
    checkpoint = queue.checkpoint(*own, 0, "hash", f"{claim.output_prefix}/0.safetensors")
    assert checkpoint is FencedAnswer.OK
    completed = queue.complete(*own, f"{claim.output_prefix}/movie.mp4", SHA, {"seed": 7})
    assert completed is CompleteAnswer.ALREADY
    copy = queue.retry(task)
    assert copy is not None
    assert queue.cancel(copy) is CancelAnswer.CANCELLED
    assert [view.status for view in queue.list()] == [TaskStatus.CANCELLED, TaskStatus.COMPLETE]
    assert set(losing.lost) == EVERYTHING
    assert supabase_stack.sql("select count(*) from public.task_attempts") == [(1,)]
    assert supabase_stack.sql("select count(*) from public.task_outputs") == [(1,)]


@pytest.mark.parametrize("call", ["fail", "retry", "release"])
def test_an_attempt_that_ended_unheard_has_ended_once(
    supabase_stack: Stack, queue: SupabaseQueue, call: str
) -> None:
    task = queue.enqueue(NewTask({}))
    claim = queue.claim("w", "c", Capability())
    assert claim is not None
    if call == "release":
        answer = queue.release(task, claim.attempt, "drain")
    else:
        answer = queue.fail(task, claim.attempt, "BAD_INPUT", "no", call == "retry")
    assert answer is FencedAnswer.LOST
    outcome = {"fail": "failed", "retry": "retried", "release": "released"}[call]
    assert supabase_stack.sql("select outcome from public.task_attempts") == [(outcome,)]
    charged = 0 if call == "release" else 1
    assert supabase_stack.sql("select attempts, retry_count from public.tasks") == [
        (charged, 1 if call == "retry" else 0)
    ]
