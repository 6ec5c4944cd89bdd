"""A crash counts against the task that the engine was at, not against those that stood beside it."""

from __future__ import annotations

import pytest

from headless.adapters.supabase_queue import SupabaseQueue
from headless.task import Capability, NewTask, Phase, Progress, TaskStatus
from tests.supabase.stack import Stack

WAITING = Progress(Phase.FETCHING, waiting=True)
UPLOADING = Progress(Phase.UPLOADING)
DENOISING = Progress(Phase.DENOISING)


def crash(stack: Stack, queue: SupabaseQueue, worker: str, last_words: Progress) -> None:
    """Claim the only task, report, and never be heard of again."""
    claim = queue.claim(worker, f"claim of {worker}", Capability())
    assert claim is not None
    queue.renew(claim.task_id, claim.attempt, last_words)
    stack.advance(61)


@pytest.mark.parametrize("beside", [WAITING, UPLOADING])
def test_a_bystander_is_not_suspected(
    supabase_stack: Stack, service_queue: SupabaseQueue, beside: Progress
) -> None:
    task = service_queue.enqueue(NewTask({}))
    for worker, last_words in (("w1", beside), ("w2", DENOISING), ("w3", beside)):
        crash(supabase_stack, service_queue, worker, last_words)
    assert service_queue.claim("w4", "c4", Capability()) is not None
    assert supabase_stack.sql(
        "select worker_id, error_class from public.task_attempts where outcome = 'crashed' order by attempt"
    ) == [("w1", "BYSTANDER"), ("w2", None), ("w3", "BYSTANDER")]
    service_queue.renew(task, 4, DENOISING)
    supabase_stack.advance(61)
    assert service_queue.claim("w5", "c5", Capability()) is None
    view = service_queue.get(task)
    assert view is not None
    assert (view.status, view.error_class) == (TaskStatus.FAILED, "QUARANTINED")


def test_a_task_beside_five_crashes_is_put_away_all_the_same(
    supabase_stack: Stack, service_queue: SupabaseQueue
) -> None:
    service_queue.enqueue(NewTask({}))
    for number in range(5):
        crash(supabase_stack, service_queue, f"w{number}", WAITING)
    assert service_queue.claim("w6", "c6", Capability()) is None


def test_a_hanging_engine_shows_in_the_view(supabase_stack: Stack, service_queue: SupabaseQueue) -> None:
    service_queue.enqueue(NewTask({}))
    claim = service_queue.claim("w", "c", Capability())
    assert claim is not None
    for stalled in (False, True):
        service_queue.renew(claim.task_id, claim.attempt, Progress(Phase.DENOISING, stalled=stalled))
        assert supabase_stack.sql("select stalled from public.task_status_v1") == [(stalled,)]
