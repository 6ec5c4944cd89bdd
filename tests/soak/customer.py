"""Who queues the jobs, and queues a task again that chance has put into quarantine."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable
from typing import Self

from headless.errors import QueueUnavailable
from headless.task import NewTask
from tests.soak.ground import Ground
from tests.soak.jobs import Job

TO_RETRY = """
t.status = 'Failed' and t.error_class = 'QUARANTINED'
and not exists (select 1 from tasks copy where copy.origin_id = t.id)
"""


class Customer:
    """A thread for the length of the `with` block; it goes on when the queue does not answer.

    The first half of the jobs is queued at once, the others while the first are done, so that some are
    accepted while the queue is disturbed. `accepted`: job -> its task.
    """

    def __init__(self, ground: Ground, jobs: Iterable[Job], done: Callable[[], int]) -> None:
        self._ground = ground
        self._jobs = list(jobs)
        self._done = done
        self._leave = threading.Event()
        self._thread = threading.Thread(target=self._serve, name="customer", daemon=True)
        self.accepted: dict[Job, str] = {}
        self.retries = 0
        self.error: Exception | None = None

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._leave.set()
        self._thread.join()

    @property
    def waiting(self) -> bool:
        """Whether a job is still to be accepted or worked off, or a task to be queued again."""
        if len(self.accepted) < len(self._jobs):
            return True
        open_tasks = f"t.status in ('Queued', 'In Progress') or ({TO_RETRY})"
        ((count,),) = self._ground.query(f"select count(*) from tasks t where {open_tasks}")
        return bool(count)

    def _serve(self) -> None:
        while not self._leave.is_set():
            try:
                self._enqueue()
                self._retry()
            except QueueUnavailable:
                pass
            except Exception as error:
                self.error = error
                return
            self._leave.wait(0.2)

    def _enqueue(self) -> None:
        for job in self._jobs[len(self.accepted) : len(self._jobs) // 2 + 1 + self._done()]:
            if self._leave.is_set():
                return
            task = NewTask(params=self._ground.site.job(**job.params), idempotency_key=job.name)
            self.accepted[job] = self._ground.site.queue.enqueue(task)

    def _retry(self) -> None:
        for (task,) in self._ground.query(f"select id from tasks t where {TO_RETRY}"):
            if self._ground.site.queue.retry(str(task)) is not None:
                self.retries += 1
