"""One claim takes exactly one task: on a large queue, with any plan, and with many workers at once."""

from __future__ import annotations

import threading
import uuid
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import psycopg
import pytest

from headless.adapters.supabase_client import connect
from headless.adapters.supabase_queue import SupabaseQueue
from headless.task import Capability
from tests.supabase.stack import Stack

PLANS = {
    "nested loops": ["enable_hashjoin = off", "enable_mergejoin = off", "enable_material = off"],
    "no indexes": ["enable_indexscan = off", "enable_indexonlyscan = off", "enable_bitmapscan = off"],
    "hash joins": ["enable_nestloop = off", "enable_mergejoin = off"],
    "merge joins": ["enable_nestloop = off", "enable_hashjoin = off"],
}


PASTS = {
    "empty": [],
    "one task, done": ["insert into public.tasks (params, status) values ('{}', 'Complete')"],
    "one task": ["insert into public.tasks (params) values ('{}')"],
    "one owner's tasks": ["insert into public.tasks (params) select '{}' from generate_series(1, 2000)"],
    "all done": [
        "insert into public.tasks (params, status) select '{}', 'Complete' from generate_series(1, 200)",
    ],
}


@pytest.fixture
def large_queue(supabase_stack: Stack) -> Iterator[Stack]:
    """20,000 queued tasks of 40 owners, 2,000 finished ones, and stale statistics."""
    _fill(supabase_stack)
    yield supabase_stack
    supabase_stack.sql("truncate public.tasks cascade")


def _fill(stack: Stack) -> None:
    stack.sql(
        "insert into public.tasks (params, user_id, status, priority) "
        "select jsonb_build_object('model', 'm' || i % 3), "
        "('00000000-0000-4000-8000-' || lpad((i % 40)::text, 12, '0'))::uuid, "
        "case when i % 11 = 0 then 'Complete' else 'Queued' end, i % 2 from generate_series(1, 22000) i"
    )


def claim(connection: psycopg.Connection[Any]) -> str | None:
    """One claim; the id of the task."""
    row = connection.execute(
        "select public.claim_task_v1('w', %s, '{\"loaded_model\": \"m1\"}') ->> 'task_id'",
        (str(uuid.uuid4()),),
    ).fetchone()
    assert row is not None
    task: str | None = row[0]
    return task


@pytest.mark.parametrize("plan", PLANS)
def test_a_claim_takes_exactly_one_task_whatever_the_plan(large_queue: Stack, plan: str) -> None:
    with psycopg.connect(large_queue.dsn, autocommit=True) as connection:
        for setting in PLANS[plan]:
            connection.execute(f"set {setting}")
        for number in range(1, 4):
            assert claim(connection) is not None
            assert large_queue.sql(
                "select count(*), count(distinct id) from public.tasks where status = 'In Progress'"
            ) == [(number, number)]
            assert large_queue.sql("select count(*) from public.task_attempts") == [(number,)]


@pytest.mark.parametrize("past", PASTS)
def test_a_claim_reads_a_few_rows_of_a_large_queue(supabase_stack: Stack, past: str) -> None:
    """Counted in rows, not in seconds: a claim that reads the queue reads thousands.

    The statistics are those of the table's past: a planner that believes them picks another index.
    """
    supabase_stack.sql("truncate public.tasks cascade")
    with psycopg.connect(supabase_stack.dsn, autocommit=True) as connection:
        for statement in PASTS[past]:
            connection.execute(statement)
        connection.execute("vacuum analyze public.tasks")
    _fill(supabase_stack)
    with psycopg.connect(supabase_stack.dsn, autocommit=True) as connection:
        claim(connection)
        before = _rows_read(connection)
        for _ in range(10):
            claim(connection)
        read = _rows_read(connection) - before
    assert read < 10 * 500
    supabase_stack.sql("truncate public.tasks cascade")


def _rows_read(connection: psycopg.Connection[Any]) -> int:
    connection.execute("select pg_stat_force_next_flush()")
    row = connection.execute(
        "select seq_tup_read + idx_tup_fetch from pg_stat_user_tables where relname = 'tasks'"
    ).fetchone()
    assert row is not None
    return int(row[0])


def test_an_owner_with_ten_thousand_tasks_does_not_delay_the_others(supabase_stack: Stack) -> None:
    crowd, newcomer = str(uuid.uuid4()), str(uuid.uuid4())
    for owner, count in ((crowd, 10_000), (newcomer, 2)):
        supabase_stack.sql(
            "insert into public.tasks (params, user_id) select '{}', %s::uuid from generate_series(1, %s)",
            owner,
            count,
        )
    with psycopg.connect(supabase_stack.dsn, autocommit=True) as connection:
        owners = [_owner(supabase_stack, claim(connection)) for _ in range(4)]
    assert owners.count(newcomer) == 2
    supabase_stack.sql("truncate public.tasks cascade")


def _owner(stack: Stack, task: str | None) -> str:
    return str(stack.sql("select user_id from public.tasks where id = %s", task)[0][0])


def test_sixteen_workers_never_take_one_task_twice(supabase_stack: Stack) -> None:
    supabase_stack.sql("insert into public.tasks (params) select '{}' from generate_series(1, 160)")

    def work(number: int) -> list[str]:
        queue = SupabaseQueue(connect(supabase_stack.url, supabase_stack.keys.secret))
        taken: list[str] = []
        while (claimed := queue.claim(f"w{number}", str(uuid.uuid4()), Capability())) is not None:
            taken.append(claimed.task_id)
        queue.close()
        return taken

    with ThreadPoolExecutor(16) as pool:
        taken = [task for tasks in pool.map(work, range(16)) for task in tasks]
    assert len(taken) == len(set(taken)) == 160


def test_of_many_claims_for_one_task_one_wins(supabase_stack: Stack, service_queue: SupabaseQueue) -> None:
    supabase_stack.sql("insert into public.tasks (params) values ('{}')")
    start = threading.Barrier(24)

    def race(number: int) -> bool:
        start.wait(60)
        return service_queue.claim(f"w{number}", str(uuid.uuid4()), Capability()) is not None

    with ThreadPoolExecutor(24) as pool:
        assert sum(pool.map(race, range(24))) == 1


def test_copies_of_one_claim_in_flight_take_one_task(
    supabase_stack: Stack, service_queue: SupabaseQueue
) -> None:
    supabase_stack.sql("insert into public.tasks (params) select '{}' from generate_series(1, 20)")
    start = threading.Barrier(12)

    def repeat(_: int) -> str:
        start.wait(60)
        claimed = service_queue.claim("w", "the same claim", Capability())
        assert claimed is not None
        return f"{claimed.task_id} {claimed.attempt}"

    with ThreadPoolExecutor(12) as pool:
        assert len(set(pool.map(repeat, range(12)))) == 1
    assert supabase_stack.sql("select count(*) from public.tasks where status = 'In Progress'") == [(1,)]


def test_a_locked_task_is_skipped(supabase_stack: Stack) -> None:
    """More rows locked than the first window compares."""
    supabase_stack.sql("insert into public.tasks (params) select '{}' from generate_series(1, 40)")
    with (
        psycopg.connect(supabase_stack.dsn) as holder,
        psycopg.connect(supabase_stack.dsn, autocommit=True) as connection,
    ):
        rows = holder.execute(
            "select id::text from public.tasks order by sequence limit 39 for update"
        ).fetchall()
        task = claim(connection)
        assert task is not None
        assert (task,) not in rows
        assert claim(connection) is None


def test_a_lower_priority_is_taken_when_the_higher_is_locked(supabase_stack: Stack) -> None:
    supabase_stack.sql("insert into public.tasks (params, priority) values ('{}', 5), ('{}', 1), ('{}', 0)")
    with (
        psycopg.connect(supabase_stack.dsn) as holder,
        psycopg.connect(supabase_stack.dsn, autocommit=True) as connection,
    ):
        holder.execute("select id from public.tasks where priority = 5 for update")
        task = claim(connection)
    assert supabase_stack.sql("select priority from public.tasks where id = %s", task) == [(1,)]


def test_a_dependant_added_while_its_parent_ends_is_not_forgotten(
    supabase_stack: Stack, service_queue: SupabaseQueue
) -> None:
    """It is either refused, or fails with its parent."""
    for _ in range(10):
        (parent,) = supabase_stack.sql("insert into public.tasks (params) values ('{}') returning id::text")[
            0
        ]
        start = threading.Barrier(2)

        def add(parent: str = parent, start: threading.Barrier = start) -> str:
            with psycopg.connect(supabase_stack.dsn, autocommit=True) as connection:
                start.wait(60)
                try:
                    connection.execute(
                        "insert into public.tasks (params, dependant_on) values ('{}', array[%s::uuid])",
                        (parent,),
                    )
                except psycopg.errors.CheckViolation:
                    return "refused"
                return "added"

        with ThreadPoolExecutor(1) as pool:
            added = pool.submit(add)
            start.wait(60)
            service_queue.cancel(parent)
        stuck = supabase_stack.sql("select count(*) from public.tasks where status = 'Queued'")
        assert (added.result() in ("refused", "added"), stuck) == (True, [(0,)])
