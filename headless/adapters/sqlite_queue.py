"""The local queue: one SQLite file, shared by threads and by worker processes on the same machine."""

from __future__ import annotations

import copy
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Self

from headless import keys
from headless.adapters import sqlite_claims, sqlite_settle, sqlite_tasks, sqlite_views
from headless.adapters.sqlite_file import SqliteFile
from headless.adapters.stored_values import (
    check_delay,
    check_name,
    check_new_task,
    clean_text,
    encode_object,
    encode_params,
    encode_result,
    storable_report,
)
from headless.errors import BadParams, UsageError
from headless.task import (
    CancelAnswer,
    Capability,
    Claim,
    CompleteAnswer,
    FencedAnswer,
    Json,
    NewTask,
    Progress,
    RenewAnswer,
    Report,
    TaskStatus,
    TaskView,
)

LOCAL_OWNER = "local"


class SqliteQueue:
    """`headless.ports.TaskQueue` on SQLite.

    `path` is a file, created on first use, or `:memory:`. `now` gives seconds since 1970 and is the clock of
    every lease; all processes that share a file must share it. `owner` is whom queued tasks belong to.
    Raises `QueueUnavailable` when the file is busy or its disk fails, `DiskFull` when there is no room, and
    `UsageError` when the file is not a queue.
    """

    def __init__(
        self,
        path: Path | str,
        *,
        lease_seconds: float = 60.0,
        now: Callable[[], float] = time.time,
        owner: str = LOCAL_OWNER,
        busy_seconds: float = 15.0,
    ) -> None:
        if not lease_seconds > 0:
            raise UsageError(f"lease_seconds is {lease_seconds}; it must be more than 0")
        self.owner = keys.safe_segment(owner)
        self.lease_seconds = lease_seconds
        self._now = now
        self.file = SqliteFile(path, busy_seconds)

    def for_owner(self, owner: str) -> Self:
        """The same queue over the same connection, queueing for another owner. Close only one of them."""
        other = copy.copy(self)
        other.owner = keys.safe_segment(owner)
        return other

    def claim(self, worker_id: str, claim_id: str, capability: Capability) -> Claim | None:
        """Take one task, or none. A spent `claim_id`, or another worker's, answers none."""
        check_name("worker_id", worker_id)
        check_name("claim_id", claim_id)
        if capability.loaded_model is not None:
            check_name("loaded_model", capability.loaded_model)
        description = encode_object("capability", capability.description)
        with self.file.transaction() as db:
            bid = sqlite_claims.Bid(
                worker_id, claim_id, capability.loaded_model, description, self._now(), self.lease_seconds
            )
            return sqlite_claims.claim(db, bid)

    def renew(self, task_id: str, attempt: int, progress: Progress) -> RenewAnswer:
        """Prolong the lease and report progress; `CANCEL` prolongs too: stopping takes time."""
        report = encode_object("progress", progress.as_json())
        if progress.preview_key is not None:
            keys.safe_key(progress.preview_key)
        with self.file.transaction() as db:
            row = sqlite_settle.current(db, clean_text(task_id), attempt)
            if row is None:
                return RenewAnswer.LOST
            now = self._now()
            db.execute(
                "UPDATE tasks SET lease_expires_at = ?, phase = ?, progress = ?, "
                "preview_location = coalesce(?, preview_location), updated_at = ? WHERE id = ?",
                (
                    now + self.lease_seconds,
                    progress.phase.value,
                    report,
                    progress.preview_key,
                    now,
                    row["id"],
                ),
            )
            return RenewAnswer.CANCEL if row["cancel_requested"] else RenewAnswer.OK

    def checkpoint(
        self, task_id: str, attempt: int, index: int, input_hash: str, object_key: str
    ) -> FencedAnswer:
        """Record a finished segment; one with the same index is replaced."""
        keys.safe_key(object_key)
        check_name("input_hash", input_hash)
        if index < 0:
            raise BadParams(f"the segment index is {index}; it must be 0 or more")
        with self.file.transaction() as db:
            row = sqlite_settle.current(db, clean_text(task_id), attempt)
            if row is None:
                return FencedAnswer.LOST
            db.execute(
                "INSERT OR REPLACE INTO task_segments "
                "(task_id, segment, fence, input_hash, object_key, created_at) VALUES (?, ?, ?, ?, ?, ?)",
                (row["id"], index, attempt, input_hash, object_key, self._now()),
            )
            return FencedAnswer.OK

    def complete(
        self,
        task_id: str,
        attempt: int,
        object_key: str,
        sha256: str,
        result: Mapping[str, Json],
        report: Report = None,
    ) -> CompleteAnswer:
        """Publish the output and finish the task; a cancellation that came first wins and answers `LOST`."""
        keys.safe_key(object_key)
        check_name("sha256", sha256)
        text, about = encode_result(result), _report_text(report)
        with self.file.transaction() as db:
            task = clean_text(task_id)
            return sqlite_settle.complete(db, self._now(), task, attempt, object_key, sha256, text, about)

    def fail(
        self,
        task_id: str,
        attempt: int,
        error_class: str,
        message: str,
        retry: bool,
        report: Report = None,
    ) -> FencedAnswer:
        """Fail the attempt; the class `CANCELLED`, or a requested cancellation, makes the task Cancelled."""
        kind, text, about = clean_text(error_class), clean_text(message), _report_text(report)
        with self.file.transaction() as db:
            task = clean_text(task_id)
            return sqlite_settle.fail(db, self._now(), task, attempt, kind, text, retry, about)

    def release(
        self,
        task_id: str,
        attempt: int,
        reason: str,
        delay_seconds: float = 0.0,
        report: Report = None,
    ) -> FencedAnswer:
        """Give the task back; its attempt is not charged, and nobody claims it for `delay_seconds`."""
        check_delay("delay_seconds", delay_seconds)
        why, about = clean_text(reason), _report_text(report)
        with self.file.transaction() as db:
            task = clean_text(task_id)
            return sqlite_settle.release(db, self._now(), task, attempt, why, delay_seconds, about)

    def enqueue(self, task: NewTask) -> str:
        """Queue a task and return its id; `BadParams` says what cannot be queued."""
        check_new_task(task)
        params = encode_params(task.params)
        with self.file.transaction() as db:
            return sqlite_tasks.enqueue(db, self._now(), self.owner, task, params)

    def cancel(self, task_id: str) -> CancelAnswer:
        """Cancel a task that nobody runs at once, or ask the worker of a running one to stop."""
        with self.file.transaction() as db:
            return sqlite_tasks.cancel(db, self._now(), clean_text(task_id))

    def retry(self, task_id: str) -> str | None:
        """Queue a copy of a finished task; every call makes one more."""
        with self.file.transaction() as db:
            return sqlite_tasks.retry(db, self._now(), clean_text(task_id))

    def get(self, task_id: str) -> TaskView | None:
        """One task, or `None`."""
        with self.file.snapshot() as db:
            return sqlite_views.get(db, clean_text(task_id))

    def list(self, status: TaskStatus | None = None, limit: int = 50) -> list[TaskView]:
        """Tasks, newest first; `limit` is 1 or more."""
        if limit < 1:
            raise BadParams(f"limit is {limit}; it must be 1 or more")
        with self.file.snapshot() as db:
            return sqlite_views.list_tasks(db, status, limit)

    def queued(self) -> int:
        """How many tasks wait for a worker: queued ones, and those whose lease expired."""
        with self.file.snapshot() as db:
            return sqlite_views.waiting(db, self._now())

    def attempts(self, task_id: str) -> tuple[sqlite_views.AttemptRecord, ...]:
        """Every attempt at a task, oldest first."""
        with self.file.snapshot() as db:
            return sqlite_views.attempts(db, clean_text(task_id))

    def close(self) -> None:
        """Close the file."""
        self.file.close()


def _report_text(report: Report) -> str | None:
    storable = storable_report(report)
    return None if storable is None else encode_object("report", storable)
