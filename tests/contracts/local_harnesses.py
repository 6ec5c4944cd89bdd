"""The contract harnesses of the implementations that need no server."""

from __future__ import annotations

from pathlib import Path

from headless.adapters.local_storage import LocalStorage
from headless.adapters.sqlite_queue import SqliteQueue
from headless.ports import Storage, TaskQueue
from tests.contracts.harness import AttemptRow


class WallClock:
    """Seconds since 1970 that move only when told."""

    def __init__(self, start: float = 1_800_000_000.0) -> None:
        self.seconds = start

    def __call__(self) -> float:
        return self.seconds


class SqliteHarness:
    """A SQLite queue, in a file or in memory (where a second connection is the same object)."""

    def __init__(self, path: Path | str, lease_seconds: float = 60.0) -> None:
        self.path = path
        self.owner = "local"
        self.lease_seconds = lease_seconds
        self.clock = WallClock()
        self.queue = SqliteQueue(path, lease_seconds=lease_seconds, now=self.clock)
        self._opened = [self.queue]

    def advance(self, seconds: float) -> None:
        self.clock.seconds += seconds

    def second_connection(self) -> TaskQueue:
        return self.queue if self.path == ":memory:" else self._open(self.owner)

    def other_owner(self) -> TaskQueue:
        return self.queue.for_owner("somebody-else")

    def attempts(self, task_id: str) -> list[AttemptRow]:
        return [
            AttemptRow(
                row.attempt,
                row.worker_id,
                row.outcome,
                row.error_class,
                row.message,
                bool(row.ended_at),
                row.report,
            )
            for row in self.queue.attempts(task_id)
        ]

    def wipe(self) -> None:
        with self.queue.file.transaction() as connection:
            connection.execute("DELETE FROM tasks")

    def close(self) -> None:
        for queue in self._opened:
            queue.close()

    def _open(self, owner: str) -> SqliteQueue:
        queue = SqliteQueue(self.path, lease_seconds=self.lease_seconds, now=self.clock, owner=owner)
        self._opened.append(queue)
        return queue


class LocalStorageHarness:
    """A folder as storage."""

    prefix = "outputs/local/task/1"

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._files = 0
        self.storage: Storage = LocalStorage(directory / "storage")

    def open_locator(self, locator: str) -> bytes:
        return Path(locator).read_bytes()

    def file(self, content: bytes) -> Path:
        self._files += 1
        path = self._directory / f"source-{self._files}"
        path.write_bytes(content)
        return path
