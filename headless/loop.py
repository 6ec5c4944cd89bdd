"""Claim, run, settle; wait; stop when asked."""

from __future__ import annotations

import random
import uuid
from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

import structlog

from headless.errors import QueueUnavailable
from headless.ports import Engine, TaskQueue
from headless.settle import Outcome, Settled
from headless.shutdown import Shutdown
from headless.task import Capability, Claim

log = structlog.get_logger(__name__)


class RunsTasks(Protocol):
    """Runs one claimed task to its end. Never raises for what a task or a machine can do wrong."""

    def __call__(self, claim: Claim) -> Settled:
        """Run and settle."""


@dataclass(frozen=True)
class LoopPolicy:
    """When to look again and when to stop. `busy`, `idle`: the shortest and longest wait in seconds."""

    busy: float = 1.0
    idle: float = 5.0
    until_idle: bool = False
    once: bool = False


class WorkLoop:
    """One task after another. `run()` returns the process's exit status."""

    def __init__(
        self,
        queue: TaskQueue,
        engine: Engine,
        run_task: RunsTasks,
        shutdown: Shutdown,
        worker_id: str,
        policy: LoopPolicy,
        on_beat: Callable[[], None] = lambda: None,
    ) -> None:
        self._queue = queue
        self._engine = engine
        self._run_task = run_task
        self._shutdown = shutdown
        self._worker_id = worker_id
        self._policy = policy
        self._on_beat = on_beat
        self._claim_id = str(uuid.uuid4())
        self._answered = True
        self._wait = policy.busy

    def run(self) -> int:
        """Work until asked to stop, until idle, or once, as the policy says. 0: as asked; 1: unfit."""
        log.info("worker started", worker=self._worker_id)
        try:
            while not self._shutdown.requested:
                self._on_beat()
                claim = self._claim()
                if claim is None:
                    if self._finished():
                        return 0
                    self._rest()
                    continue
                self._wait = self._policy.busy
                if (status := self._run(claim)) is not None:
                    return status
            return 0
        finally:
            log.info("worker stopped", worker=self._worker_id)

    def _claim(self) -> Claim | None:
        """A task or nothing. A claim without an answer may have been granted, so its id is kept."""
        capability = Capability(
            loaded_model=self._engine.loaded_model, description=dict(self._engine.versions())
        )
        try:
            claim = self._queue.claim(self._worker_id, self._claim_id, capability)
        except QueueUnavailable as error:
            log.warning("queue not reached, trying again", error=error.message)
            self._answered = False
            return None
        self._answered = True
        if claim is not None:
            self._claim_id = str(uuid.uuid4())
        return claim

    def _run(self, claim: Claim) -> int | None:
        """The exit status if this task ends the loop."""
        settled = self._run_task(claim)
        if settled.outcome is Outcome.UNFIT and (self._policy.until_idle or self._policy.once):
            log.error("stopping: this machine cannot run the task", why=settled.message)
            return 1
        return 0 if self._policy.once else None

    def _finished(self) -> bool:
        if not self._policy.until_idle or not self._answered:
            return False
        try:
            return self._queue.queued() == 0
        except QueueUnavailable as error:
            log.warning("queue not reached, trying again", error=error.message)
            return False

    def _rest(self) -> None:
        """Wait, a little longer each time nothing is there; spread, so that workers do not march in step."""
        spread = random.uniform(0.75, 1.25)  # noqa: S311 - jitter, not a secret
        self._shutdown.wait(self._wait * spread)
        self._wait = min(self._wait * 1.5, max(self._policy.idle, self._policy.busy))
