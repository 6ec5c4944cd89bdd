"""The adapter with each kind of token: what works, and what is said where it does not."""

from __future__ import annotations

import logging
from pathlib import Path

import pytest

from headless.adapters.supabase_client import connect
from headless.adapters.supabase_queue import SupabaseQueue
from headless.adapters.supabase_storage import SupabaseStorage
from headless.errors import BadInput, BadParams, UsageError
from headless.task import Capability, CompleteAnswer, NewTask, Phase, Progress, RenewAnswer, TaskStatus
from tests.supabase.conftest import ALICE, BOB
from tests.supabase.stack import Stack

SHA = "cd" * 32


def test_a_users_own_worker_does_a_whole_job(alices_queue: SupabaseQueue) -> None:
    task = alices_queue.enqueue(NewTask({"prompt": "a cat"}, priority=10))
    assert alices_queue.queued() == 1
    claim = alices_queue.claim("w", "c", Capability("m", {"gpu": "H200"}))
    assert claim is not None
    assert claim.owner == alices_queue.owner == ALICE
    assert alices_queue.renew(task, claim.attempt, Progress(Phase.LOADING)) is RenewAnswer.OK
    key = f"{claim.output_prefix}/movie.mp4"
    assert alices_queue.complete(task, claim.attempt, key, SHA, {"seed": 7}) is CompleteAnswer.DONE
    view = alices_queue.get(task)
    assert view is not None
    assert (view.status, view.output_location, view.result) == (TaskStatus.COMPLETE, key, {"seed": 7})
    assert [entry.id for entry in alices_queue.list(TaskStatus.COMPLETE)] == [task]


def test_a_user_may_not_jump_the_queue(alices_queue: SupabaseQueue) -> None:
    with pytest.raises(BadParams, match="priority is 11; at most 10"):
        alices_queue.enqueue(NewTask({}, priority=11))


def test_the_limit_of_priority_is_a_setting(supabase_stack: Stack, alices_queue: SupabaseQueue) -> None:
    supabase_stack.sql("update gpu_queue.settings set user_priority_limit = 0")
    with pytest.raises(BadParams, match="at most 0"):
        alices_queue.enqueue(NewTask({}, priority=1))


def test_only_a_trusted_caller_queues_for_others(supabase_stack: Stack) -> None:
    keys = supabase_stack.keys
    for token, allowed in ((keys.secret, True), (keys.user(ALICE), False)):
        queue = SupabaseQueue(connect(supabase_stack.url, token, anon_key=keys.publishable), user_id=BOB)
        assert queue.owner == BOB
        if allowed:
            queue.enqueue(NewTask({}))
        else:
            with pytest.raises(UsageError, match="must be your own"):
                queue.enqueue(NewTask({}))
        queue.close()


def test_a_worker_token_works_but_does_not_look(
    service_queue: SupabaseQueue, workers_queue: SupabaseQueue
) -> None:
    task = service_queue.enqueue(NewTask({}))
    claim = workers_queue.claim("w", "c", Capability())
    assert claim is not None
    assert claim.task_id == task
    for look in (workers_queue.queued, workers_queue.list, lambda: workers_queue.get(task)):
        with pytest.raises(UsageError, match="can only claim and finish tasks"):
            look()


def test_a_project_without_the_migrations_is_told_so(
    supabase_stack: Stack, service_queue: SupabaseQueue
) -> None:
    supabase_stack.sql(
        "alter function public.claim_task_v1 rename to claim_task_v0; notify pgrst, 'reload schema'"
    )
    try:
        with pytest.raises(UsageError, match="supabase/migrations"):
            _claim_often(service_queue)
    finally:
        supabase_stack.sql(
            "alter function public.claim_task_v0 rename to claim_task_v1; notify pgrst, 'reload schema'"
        )
        _await_function(service_queue)


def _claim_often(queue: SupabaseQueue) -> None:
    for number in range(1000):
        queue.claim("w", f"c{number}", Capability())


def _await_function(queue: SupabaseQueue) -> None:
    """PostgREST reads the schema again a moment after it is told."""
    for number in range(1000):
        try:
            queue.claim("w", f"d{number}", Capability())
        except UsageError:
            continue
        return


@pytest.mark.parametrize("project", ["p1", "", "not a uuid"])
def test_a_project_is_a_uuid(service_queue: SupabaseQueue, project: str) -> None:
    with pytest.raises(BadParams, match="project_id"):
        service_queue.enqueue(NewTask({}, project_id=project))


def test_more_tasks_than_one_page_are_listed(supabase_stack: Stack, service_queue: SupabaseQueue) -> None:
    supabase_stack.sql("insert into public.tasks (params) select '{}' from generate_series(1, 1005)")
    views = service_queue.list(limit=2000)
    assert len({view.id for view in views}) == 1005
    assert service_queue.queued() == 1005
    assert len(service_queue.list(limit=1003)) == 1003


def test_the_workers_table_knows_who_asked(supabase_stack: Stack, service_queue: SupabaseQueue) -> None:
    service_queue.claim("w1", "c1", Capability("m1", {"gpu": "H200"}))
    service_queue.claim("w1", "c2", Capability("m2", {"gpu": "H200"}))
    assert supabase_stack.sql("select owner, worker_id, loaded_model, capability from public.workers") == [
        ("service", "w1", "m2", {"loaded_model": "m2", "description": {"gpu": "H200"}})
    ]


@pytest.mark.parametrize("kind", ["secret", "legacy", "user", "worker"])
def test_no_log_line_ever_shows_a_key(
    supabase_stack: Stack, caplog: pytest.LogCaptureFixture, tmp_path: Path, kind: str
) -> None:
    keys = supabase_stack.keys
    token = {
        "secret": keys.secret,
        "legacy": keys.legacy_service,
        "user": keys.user(ALICE),
        "worker": keys.worker(),
    }[kind]
    caplog.set_level(logging.DEBUG)
    connection = connect(supabase_stack.url, token, anon_key=keys.publishable)
    queue, storage = SupabaseQueue(connection), SupabaseStorage(connection)
    source = tmp_path / "source"
    source.write_bytes(b"x")
    supabase_stack.sql("insert into public.tasks (params, user_id) values ('{}', %s)", ALICE)
    claim = queue.claim("w", "c", Capability())
    assert claim is not None
    storage.put(f"{claim.output_prefix}/movie.mp4", source, "video/mp4")
    storage.locate(f"{claim.output_prefix}/movie.mp4")
    with pytest.raises(BadInput):
        storage.fetch(f"{claim.output_prefix}/absent", tmp_path / "copy", 10)
    queue.close()
    assert "httpcore" in caplog.text
    assert token not in caplog.text
    assert keys.publishable not in caplog.text
