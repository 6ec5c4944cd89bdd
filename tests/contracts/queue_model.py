"""The queue as a dictionary: what every call must answer, and what must be true afterwards.

Time moves in steps of 25 s and a lease lasts 60 s, so a server's own clock cannot blur who owns what.
Only a retry's delay is random; `due` holds its earliest and its latest end.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

from headless.task import CancelAnswer, Claim, CompleteAnswer, FencedAnswer, RenewAnswer, TaskStatus, TaskView

STEP_SECONDS = 25.0
LEASE_SECONDS = 60.0
RETRY_DELAYS = (5.0, 20.0, 80.0)
JITTER = 1.5


@dataclass(frozen=True)
class Handle:
    """A claim that some worker once got; it may be stale."""

    worker: str
    claim_id: str
    claim: Claim


@dataclass
class ModelTask:
    """What must be true of one task."""

    id: str
    parents: tuple[str, ...]
    priority: int
    due: tuple[float, float]
    status: TaskStatus = TaskStatus.QUEUED
    fence: int = 0
    attempts: int = 0
    retries: int = 0
    owner: Handle | None = None
    lease_until: float = 0.0
    cancel_requested: bool = False
    crashed: list[str] = field(default_factory=list)
    segments: dict[int, str] = field(default_factory=dict)
    published: tuple[int, str] | None = None
    final_view: TaskView | None = None

    def poisonous(self) -> bool:
        """Whether one more crash of its present worker sends it to quarantine."""
        assert self.owner is not None
        return len(self.crashed) + 1 >= 5 or len({*self.crashed, self.owner.worker}) >= 2


class QueueModel:
    """The expected queue. Each method answers what the real call must answer, and changes the expectation."""

    def __init__(self) -> None:
        self.now = 0.0
        self.tasks: dict[str, ModelTask] = {}

    @property
    def owners(self) -> list[Handle]:
        """The claims that are current, those with an expired lease among them."""
        running = [task for task in self.tasks.values() if task.status is TaskStatus.IN_PROGRESS]
        return [task.owner for task in running if task.owner is not None]

    def enqueued(self, task: str, parents: tuple[str, ...], priority: int, delay: float) -> None:
        assert task not in self.tasks
        self.tasks[task] = ModelTask(task, parents, priority, (self.now + delay, self.now + delay))

    def may_be_parent(self, task: str) -> bool:
        return self.tasks[task].status not in (TaskStatus.FAILED, TaskStatus.CANCELLED)

    def claimed(self, handle: Handle | None, views: dict[str, TaskView]) -> None:
        """Check a fresh claim; `views` shows which poisonous tasks it met on its way."""
        for task in self._expired():
            if task.cancel_requested:
                self._crash(task)
                self._end(task, TaskStatus.CANCELLED)
        for task in self._expired():
            if task.poisonous() and (handle is None or views[task.id].status is TaskStatus.FAILED):
                assert handle is None or task.priority >= self.tasks[handle.claim.task_id].priority
                self._crash(task)
                self._end(task, TaskStatus.FAILED)
        if handle is None:
            assert list(self._expired()) == []
            assert list(self._claimable(surely=True)) == []
        else:
            self._start(handle)

    def repeated(self, handle: Handle) -> Claim | None:
        task = self._current(handle)
        if task is None:
            return None
        task.lease_until = self.now + LEASE_SECONDS
        return handle.claim

    def renewed(self, handle: Handle) -> RenewAnswer:
        task = self._current(handle)
        if task is None:
            return RenewAnswer.LOST
        task.lease_until = self.now + LEASE_SECONDS
        return RenewAnswer.CANCEL if task.cancel_requested else RenewAnswer.OK

    def checkpointed(self, handle: Handle, index: int, input_hash: str) -> FencedAnswer:
        task = self._current(handle)
        if task is None:
            return FencedAnswer.LOST
        task.segments[index] = input_hash
        return FencedAnswer.OK

    def completed(self, handle: Handle, sha256: str) -> CompleteAnswer:
        task = self._current(handle)
        if task is None:
            published = self.tasks[handle.claim.task_id].published
            same = published == (handle.claim.attempt, sha256)
            return CompleteAnswer.ALREADY if same else CompleteAnswer.LOST
        if task.cancel_requested:
            self._end(task, TaskStatus.CANCELLED)
            return CompleteAnswer.LOST
        task.published = (handle.claim.attempt, sha256)
        task.status = TaskStatus.COMPLETE
        return CompleteAnswer.DONE

    def failed(self, handle: Handle, error_class: str, retry: bool) -> FencedAnswer:
        task = self._current(handle)
        if task is None:
            return FencedAnswer.LOST
        if error_class == "CANCELLED" or task.cancel_requested:
            self._end(task, TaskStatus.CANCELLED)
        elif retry and task.retries < len(RETRY_DELAYS):
            delay = RETRY_DELAYS[task.retries]
            task.status, task.retries = TaskStatus.QUEUED, task.retries + 1
            task.due = (self.now + delay, self.now + delay * JITTER)
        else:
            self._end(task, TaskStatus.FAILED)
        return FencedAnswer.OK

    def released(self, handle: Handle, delay: float) -> FencedAnswer:
        task = self._current(handle)
        if task is None:
            return FencedAnswer.LOST
        if task.cancel_requested:
            self._end(task, TaskStatus.CANCELLED)
        else:
            task.status, task.attempts = TaskStatus.QUEUED, task.attempts - 1
            task.due = (self.now + delay, self.now + delay)
        return FencedAnswer.OK

    def cancelled(self, task_id: str) -> CancelAnswer:
        task = self.tasks[task_id]
        if task.status is TaskStatus.CANCELLED:
            return CancelAnswer.CANCELLED
        if task.status.final:
            return CancelAnswer.FINAL
        if task.status is TaskStatus.IN_PROGRESS and task.lease_until > self.now:
            task.cancel_requested = True
            return CancelAnswer.REQUESTED
        if task.status is TaskStatus.IN_PROGRESS:
            self._crash(task)
        self._end(task, TaskStatus.CANCELLED)
        return CancelAnswer.CANCELLED

    def check(self, views: list[TaskView]) -> None:
        """Nothing lost, nothing invented, one output at most, and what is final stays as it was."""
        assert {view.id for view in views} == set(self.tasks)
        for view in views:
            task = self.tasks[view.id]
            assert (view.status, view.attempts) == (task.status, task.attempts)
            assert (view.output_location is not None) == (task.status is TaskStatus.COMPLETE)
            assert (view.phase is not None) == (task.status is TaskStatus.IN_PROGRESS)
            if view.status.final:
                task.final_view = task.final_view or view
                assert view == task.final_view

    def waiting(self) -> int:
        queued = [task for task in self.tasks.values() if task.status is TaskStatus.QUEUED]
        return len(queued) + len(list(self._expired()))

    def _start(self, handle: Handle) -> None:
        claim = handle.claim
        task = self.tasks[claim.task_id]
        assert all(task.priority >= other.priority for other in self._claimable(surely=True))
        if task.status is TaskStatus.IN_PROGRESS:
            assert task.lease_until <= self.now
            assert not task.poisonous()
            self._crash(task)
        else:
            assert task in list(self._claimable(surely=False))
        assert claim.attempt == task.fence + 1
        assert {point.index: point.input_hash for point in claim.checkpoints} == task.segments
        task.status, task.owner, task.fence = TaskStatus.IN_PROGRESS, handle, claim.attempt
        task.attempts, task.cancel_requested = task.attempts + 1, False
        task.lease_until = self.now + LEASE_SECONDS

    def _current(self, handle: Handle) -> ModelTask | None:
        task = self.tasks[handle.claim.task_id]
        owned = task.status is TaskStatus.IN_PROGRESS and task.fence == handle.claim.attempt
        return task if owned else None

    def _expired(self) -> Iterator[ModelTask]:
        for task in list(self.tasks.values()):
            if task.status is TaskStatus.IN_PROGRESS and task.lease_until <= self.now:
                yield task

    def _claimable(self, surely: bool) -> Iterator[ModelTask]:
        for task in self.tasks.values():
            ready = all(self.tasks[parent].status is TaskStatus.COMPLETE for parent in task.parents)
            earliest, latest = task.due
            due = (latest if surely else earliest) <= self.now
            if task.status is TaskStatus.QUEUED and ready and due:
                yield task

    def _crash(self, task: ModelTask) -> None:
        assert task.owner is not None
        task.crashed.append(task.owner.worker)

    def _end(self, task: ModelTask, status: TaskStatus) -> None:
        task.status = status
        for child in self.tasks.values():
            if task.id in child.parents and child.status is TaskStatus.QUEUED:
                self._end(child, TaskStatus.FAILED)
