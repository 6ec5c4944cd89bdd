"""PostgreSQL goes away under working workers and comes back. These tests have a project of their own."""

from __future__ import annotations

import contextlib
import signal
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from headless.segment import Clip
from headless.task import TaskStatus
from tests.crash.polling import until
from tests.crash.sites import SupabaseSite
from tests.supabase.stack import DATABASE, Stack

TASKS = 6


@pytest.fixture
def own_site(tmp_path: Path) -> Iterator[SupabaseSite]:
    with Stack() as stack, contextlib.closing(SupabaseSite(tmp_path / "site", stack)) as site:
        yield site


def test_workers_outlive_crashes_of_the_database(own_site: SupabaseSite, undisturbed: Clip) -> None:
    stack, tasks = own_site.stack, [own_site.enqueue() for _ in range(TASKS)]

    def complete() -> int:
        query = "select count(*) from public.tasks where status = 'Complete'"
        return int(stack.sql(query)[0][0])

    pace = ("--fake-step-seconds", "0.1")
    with own_site.start("one", *pace) as one, own_site.start("two", *pace) as two:

        def await_complete(count: int) -> None:
            until(lambda: complete() >= count, lambda: f"{one.log}\n{two.log}")

        await_complete(1)
        stack.cluster.restart(immediate=True)
        await_complete(2)
        stack.cluster.terminate_backends(DATABASE)
        await_complete(4)
        stack.cluster.restart()
        await_complete(TASKS)
        for worker in (one, two):
            worker.send(signal.SIGTERM)
            assert worker.wait() == 0, worker.log
    for task in tasks:
        assert own_site.view(task).status is TaskStatus.COMPLETE
        assert [attempt.outcome for attempt in own_site.attempts(task)] == ["completed"]
        assert np.array_equal(own_site.clip(task), undisturbed)
    assert own_site.here.litter == []
