"""Several worker processes on one file, and processes that are killed."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from headless.adapters.sqlite_queue import SqliteQueue
from headless.task import Capability, CompleteAnswer, NewTask, TaskStatus
from tests.contracts.local_harnesses import WallClock

ROOT = Path(__file__).parents[2]


@contextmanager
def child(action: str, path: Path, name: str) -> Iterator[subprocess.Popen[str]]:
    """A process that waits for a line before it starts, killed at the end."""
    command = [sys.executable, "-m", "tests.sqlite.child", action, str(path), name]
    with subprocess.Popen(
        command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        try:
            yield process
        finally:
            process.kill()


def start(process: subprocess.Popen[str]) -> None:
    assert process.stdin is not None
    process.stdin.write("go\n")
    process.stdin.flush()


def line(process: subprocess.Popen[str]) -> str:
    assert process.stdout is not None
    return process.stdout.readline().strip()


def lines(process: subprocess.Popen[str]) -> list[str]:
    assert process.stdout is not None
    said = process.stdout.read().splitlines()
    assert process.wait(60) == 0
    return said


def test_every_task_is_claimed_by_one_process(tmp_path: Path) -> None:
    path = tmp_path / "queue.db"
    queue = SqliteQueue(path)
    tasks = {queue.enqueue(NewTask({})) for _ in range(150)}
    with (
        child("drain", path, "worker-1") as one,
        child("drain", path, "worker-2") as two,
        child("drain", path, "worker-3") as three,
    ):
        for process in (one, two, three):
            start(process)
        done = [lines(process) for process in (one, two, three)]
    assert sum(map(len, done)) == 150
    assert {task for some in done for task in some} == tasks
    assert {task.status for task in queue.list(limit=200)} == {TaskStatus.COMPLETE}
    queue.close()


def test_processes_that_start_together_create_one_file(tmp_path: Path) -> None:
    path = tmp_path / "new" / "queue.db"
    with (
        child("create", path, "1") as one,
        child("create", path, "2") as two,
        child("create", path, "3") as three,
        child("create", path, "4") as four,
    ):
        for process in (one, two, three, four):
            start(process)
        tasks = {line for process in (one, two, three, four) for line in lines(process)}
    queue = SqliteQueue(path)
    assert {task.id for task in queue.list()} == tasks
    assert len(tasks) == 4
    queue.close()


def test_a_killed_process_leaves_the_file_usable_and_loses_nothing(tmp_path: Path) -> None:
    path, acknowledged = tmp_path / "queue.db", list[str]()
    for kill_after in (1, 2, 3, 17, 41):
        with child("churn", path, f"worker-{kill_after}") as process:
            start(process)
            acknowledged += [line(process) for _ in range(kill_after)]
            process.kill()
            assert process.stdout is not None
            acknowledged += process.stdout.read().splitlines()
    clock = WallClock(4_000_000_000.0)
    queue = SqliteQueue(path, now=clock)
    with queue.file.snapshot() as db:
        assert db.execute("PRAGMA integrity_check").fetchone()[0] == "ok"
    statuses = {task.id: task.status for task in queue.list(limit=10_000)}
    for said in acknowledged:
        what, _, task = said.partition(" ")
        assert task in statuses
        assert what != "complete" or statuses[task] is TaskStatus.COMPLETE
    left = sum(status is not TaskStatus.COMPLETE for status in statuses.values())
    assert queue.queued() == left
    for number in range(left):
        claim = queue.claim("worker-0", f"claim-{number}", Capability())
        assert claim is not None
        answer = queue.complete(claim.task_id, claim.attempt, f"{claim.output_prefix}/m.mp4", "0" * 64, {})
        assert answer is CompleteAnswer.DONE
    assert queue.queued() == 0
    queue.close()


def test_a_process_that_may_write_no_more_loses_nothing(tmp_path: Path) -> None:
    path = tmp_path / "queue.db"
    with child("fill", path, "worker-1") as process:
        start(process)
        *queued, last = lines(process)
    assert last.startswith("full there is no room for the queue")
    assert len(queued) > 3
    queue = SqliteQueue(path)
    assert {f"queued {task.id}" for task in queue.list(limit=1000)} == set(queued)
    assert queue.enqueue(NewTask({}))
    queue.close()
