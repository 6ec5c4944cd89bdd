"""Any sequence of calls, by living workers and by zombies, against the model."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    Bundle,
    MultipleResults,
    RuleBasedStateMachine,
    initialize,
    invariant,
    multiple,
    precondition,
    rule,
    run_state_machine_as_test,
)

from headless.task import Capability, NewTask
from tests.contracts.calls import OTHER_SHA, PROGRESS, SHA, movie_key
from tests.contracts.harness import QueueHarness
from tests.contracts.queue_model import LEASE_SECONDS, STEP_SECONDS, Handle, QueueModel

MOST_TASKS = 5
WORKERS = st.sampled_from(["worker-1", "worker-2", "worker-3"])
CALLS = st.sampled_from(
    ["renew", "checkpoint", "complete", "complete", "retry", "retry", "fail", "stop", "release"]
)


class QueueMachine(RuleBasedStateMachine):
    """Calls in any order; each answer is compared with the model's, and every row after every call."""

    harness: QueueHarness
    tasks: Bundle[str] = Bundle("tasks")
    handles: Bundle[Handle] = Bundle("handles")

    @initialize(target=tasks)
    def empty(self) -> MultipleResults[str]:
        assert self.harness.lease_seconds == LEASE_SECONDS
        self.harness.wipe()
        self.queue = self.harness.queue
        self.model = QueueModel()
        self.claims = 0
        first = self._enqueue()
        second = self._enqueue((first,), priority=1)
        return multiple(first, second, self._enqueue((second,)))

    @precondition(lambda self: len(self.model.tasks) < MOST_TASKS)
    @rule(
        target=tasks,
        parents=st.lists(tasks, max_size=2),
        priority=st.integers(0, 1),
        delay=st.sampled_from([0.0, 0.0, 60.0]),
    )
    def enqueue(self, parents: list[str], priority: int, delay: float) -> str:
        usable = {parent for parent in parents if self.model.may_be_parent(parent)}
        return self._enqueue(tuple(usable), priority, delay)

    @rule(target=handles, worker=WORKERS)
    def claim(self, worker: str) -> MultipleResults[Handle] | Handle:
        return self._claim(worker)

    @rule(target=handles, worker=WORKERS)
    def crash_and_claim(self, worker: str) -> MultipleResults[Handle] | Handle:
        """Every worker vanishes for longer than a lease, then one comes back."""
        self.wait(3)
        return self._claim(worker)

    @rule(target=handles, worker=WORKERS, call=CALLS, patience=st.sampled_from([0, 0, 6]))
    def work(self, worker: str, call: str, patience: int) -> MultipleResults[Handle] | Handle:
        """Perhaps once every delay is over, one worker claims and makes one call."""
        self.wait(patience)
        claimed = self._claim(worker)
        if isinstance(claimed, Handle):
            self._call(claimed, call)
        return claimed

    @rule(handle=handles)
    def repeat_claim(self, handle: Handle) -> None:
        again = self.queue.claim(handle.worker, handle.claim_id, Capability())
        expected = self.model.repeated(handle)
        assert (again and replace(again, checkpoints=())) == (expected and replace(expected, checkpoints=()))

    @precondition(lambda self: self.model.owners)
    @rule(pick=st.integers(0, MOST_TASKS), call=CALLS)
    def owner_calls(self, pick: int, call: str) -> None:
        self._call(self.model.owners[pick % len(self.model.owners)], call)

    @rule(handle=handles, call=CALLS)
    def anybody_calls(self, handle: Handle, call: str) -> None:
        self._call(handle, call)

    @rule(handle=handles)
    def publish_other_bytes(self, handle: Handle) -> None:
        self._complete(handle, OTHER_SHA)

    @rule(task=tasks)
    def cancel(self, task: str) -> None:
        assert self.queue.cancel(task) is self.model.cancelled(task)

    @precondition(lambda self: self.model.owners)
    @rule(pick=st.integers(0, MOST_TASKS))
    def cancel_running(self, pick: int) -> None:
        self.cancel(self.model.owners[pick % len(self.model.owners)].claim.task_id)

    @rule(steps=st.sampled_from([1, 1, 3, 6]))
    def wait(self, steps: int) -> None:
        self.harness.advance(steps * STEP_SECONDS)
        self.model.now += steps * STEP_SECONDS

    @invariant()
    def the_queue_is_as_expected(self) -> None:
        self.model.check(self.queue.list(limit=1000))
        assert self.queue.queued() == self.model.waiting()

    def _enqueue(self, parents: tuple[str, ...] = (), priority: int = 0, delay: float = 0.0) -> str:
        new = NewTask({}, priority=priority, dependant_on=parents, run_after_seconds=delay)
        task = self.queue.enqueue(new)
        self.model.enqueued(task, parents, priority, delay)
        return task

    def _claim(self, worker: str) -> MultipleResults[Handle] | Handle:
        self.claims += 1
        claim_id = f"claim-{self.claims}"
        claimed = self.queue.claim(worker, claim_id, Capability())
        handle = None if claimed is None else Handle(worker, claim_id, claimed)
        self.model.claimed(handle, {view.id: view for view in self.queue.list(limit=1000)})
        return multiple() if handle is None else handle

    def _call(self, handle: Handle, call: str) -> None:
        calls: dict[str, Callable[[], None]] = {
            "renew": lambda: self._renew(handle),
            "checkpoint": lambda: self._checkpoint(handle),
            "complete": lambda: self._complete(handle, SHA),
            "retry": lambda: self._fail(handle, "INPUT_UNAVAILABLE", retry=True),
            "fail": lambda: self._fail(handle, "BAD_INPUT", retry=False),
            "stop": lambda: self._fail(handle, "CANCELLED", retry=False),
            "release": lambda: self._release(handle),
        }
        calls[call]()

    def _renew(self, handle: Handle) -> None:
        answer = self.queue.renew(handle.claim.task_id, handle.claim.attempt, PROGRESS)
        assert answer is self.model.renewed(handle)

    def _checkpoint(self, handle: Handle) -> None:
        claim, index = handle.claim, handle.claim.attempt % 3
        key = f"{claim.output_prefix}/{index}.safetensors"
        answer = self.queue.checkpoint(claim.task_id, claim.attempt, index, handle.claim_id, key)
        assert answer is self.model.checkpointed(handle, index, handle.claim_id)

    def _complete(self, handle: Handle, sha256: str) -> None:
        claim = handle.claim
        answer = self.queue.complete(claim.task_id, claim.attempt, movie_key(claim), sha256, {})
        assert answer is self.model.completed(handle, sha256)

    def _fail(self, handle: Handle, error_class: str, *, retry: bool) -> None:
        answer = self.queue.fail(handle.claim.task_id, handle.claim.attempt, error_class, "no", retry)
        assert answer is self.model.failed(handle, error_class, retry)

    def _release(self, handle: Handle) -> None:
        delay = 60.0 * (handle.claim.attempt % 3 == 0)
        answer = self.queue.release(handle.claim.task_id, handle.claim.attempt, "drain", delay)
        assert answer is self.model.released(handle, delay)


def test_any_sequence_of_calls_keeps_the_promises(
    queue_harness: QueueHarness, request: pytest.FixtureRequest
) -> None:
    fast = request.node.callspec.params["queue_harness"] == "sqlite_memory"
    machine = type("Machine", (QueueMachine,), {"harness": queue_harness})
    run_state_machine_as_test(
        machine,
        settings=settings(
            max_examples=150 if fast else 15,
            stateful_step_count=50,
            deadline=None,
            database=None,
            suppress_health_check=list(HealthCheck),
        ),
    )
