"""The contract harnesses of the Supabase adapters, over the real servers."""

from __future__ import annotations

import uuid
from pathlib import Path

import httpx

from headless.adapters.supabase_client import connect
from headless.adapters.supabase_queue import SupabaseQueue
from headless.adapters.supabase_storage import SupabaseStorage
from headless.ports import Storage, TaskQueue
from tests.contracts.harness import AttemptRow
from tests.supabase.stack import Stack


class SupabaseQueueHarness:
    """A queue with a secret key. Time is moved by moving what the database has stored."""

    owner = "service"
    lease_seconds = 60.0
    machine_examples = 6

    def __init__(self, stack: Stack) -> None:
        self._stack = stack
        self._opened: list[SupabaseQueue] = []
        stack.reset()
        self.queue: TaskQueue = self._open()

    def advance(self, seconds: float) -> None:
        self._stack.advance(seconds)

    def second_connection(self) -> TaskQueue:
        return self._open()

    def other_owner(self) -> TaskQueue:
        return self._open(user_id=str(uuid.uuid4()))

    def attempts(self, task_id: str) -> list[AttemptRow]:
        rows = self._stack.sql(
            "select attempt, worker_id, outcome, error_class, message, finished_at is not null, report "
            "from public.task_attempts where task_id = %s order by attempt",
            task_id,
        )
        return [AttemptRow(*row) for row in rows]

    def wipe(self) -> None:
        self._stack.reset()

    def close(self) -> None:
        for queue in self._opened:
            queue.close()

    def _open(self, user_id: str | None = None) -> SupabaseQueue:
        queue = SupabaseQueue(connect(self._stack.url, self._stack.keys.secret), user_id=user_id)
        self._opened.append(queue)
        return queue


class SupabaseStorageHarness:
    """The bucket, with a secret key."""

    prefix = "outputs/service/00000000-0000-4000-8000-000000000009/1"

    def __init__(self, stack: Stack, folder: Path) -> None:
        stack.reset()
        self._folder = folder
        self._files = 0
        self._connection = connect(stack.url, stack.keys.secret)
        self.storage: Storage = SupabaseStorage(self._connection)

    def open_locator(self, locator: str) -> bytes:
        """Without any key: the URL is all that a person has."""
        return httpx.get(locator).raise_for_status().content

    def file(self, content: bytes) -> Path:
        self._files += 1
        path = self._folder / f"source-{self._files}"
        path.write_bytes(content)
        return path

    def close(self) -> None:
        self._connection.close()
