"""What a contract test needs from an implementation, beside the port itself."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from headless.ports import Storage, TaskQueue


@dataclass(frozen=True)
class AttemptRow:
    """One row of `task_attempts`.

    `outcome` is running, completed, failed, retried, released, crashed or cancelled.
    """

    attempt: int
    worker_id: str
    outcome: str
    error_class: str | None
    message: str | None
    ended: bool
    report: dict[str, Any] | None = None


class QueueHarness(Protocol):
    """A queue under test, with a hand on its clock."""

    @property
    def queue(self) -> TaskQueue:
        """The queue; it queues tasks for `owner`."""

    @property
    def owner(self) -> str:
        """The owner whose tasks `queue` enqueues, as `Claim.owner` shows it."""

    @property
    def lease_seconds(self) -> float:
        """How long a lease lasts."""

    def advance(self, seconds: float) -> None:
        """Move the queue's clock forward."""

    def second_connection(self) -> TaskQueue:
        """Another connection to the same queue; the harness closes it."""

    def other_owner(self) -> TaskQueue:
        """The same queue for another user: what it enqueues belongs to that user; it claims like `queue`."""

    def attempts(self, task_id: str) -> list[AttemptRow]:
        """The task's attempts, oldest first."""

    def wipe(self) -> None:
        """Delete every task."""


class StorageHarness(Protocol):
    """A storage under test."""

    @property
    def storage(self) -> Storage:
        """The storage, empty at first."""

    @property
    def prefix(self) -> str:
        """A key prefix under which this storage lets the test write, without a slash at its end."""

    def open_locator(self, locator: str) -> bytes:
        """The bytes that a person finds at `locate`'s answer."""

    def file(self, content: bytes) -> Path:
        """A new local file with these bytes."""
