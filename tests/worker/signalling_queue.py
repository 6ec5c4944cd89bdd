"""The real local queue, which also says when it was renewed and can be out of reach on request."""

from __future__ import annotations

import threading

from headless.adapters.sqlite_queue import SqliteQueue
from headless.errors import QueueUnavailable
from headless.task import Capability, Claim, Json, NewTask, Progress, RenewAnswer
from tests.worker.fake_clock import FakeClock

PATIENCE = 20.0


class SignallingQueue(SqliteQueue):
    """`wait_for_renewals(n)` blocks until `n` more renewals were answered."""

    def __init__(self, clock: FakeClock, lease_seconds: float = 60.0) -> None:
        super().__init__(":memory:", lease_seconds=lease_seconds, now=clock.monotonic)
        self.renewals: list[Progress] = []
        self.out_of_reach = False
        self._changed = threading.Condition()
        self._refused = 0

    def renew(self, task_id: str, attempt: int, progress: Progress) -> RenewAnswer:
        with self._changed:
            self.renewals.append(progress)
            self._changed.notify_all()
        if self.out_of_reach:
            raise QueueUnavailable("the queue was told to be out of reach")
        return super().renew(task_id, attempt, progress)

    def wait_for_renewals(self, count: int) -> None:
        with self._changed:
            if not self._changed.wait_for(lambda: len(self.renewals) >= count, PATIENCE):
                raise AssertionError(f"{len(self.renewals)} renewals instead of {count}")

    def claimed(self, params: dict[str, Json] | None = None) -> Claim:
        """A fresh task, claimed."""
        self.enqueue(NewTask(params=params or {"prompt": "a"}))
        claim = self.claim("worker-1", f"claim-{len(self.list())}", Capability())
        assert claim is not None
        return claim
