"""Claim, prepare, generate, publish: the next task is prepared and the last one published meanwhile."""

from __future__ import annotations

import random
import uuid
from collections import deque
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from typing import Generic, Protocol, TypeVar

import structlog

from headless.errors import DeviceSick, DiskFull, QueueUnavailable, RankLost
from headless.ports import Clock, Engine, TaskQueue
from headless.settle import Outcome, Settled
from headless.shutdown import Shutdown
from headless.task import Capability, Claim

LEAD_SECONDS = 3.0
"""How long before the engine is free the next task is claimed, at the least; see `WorkLoop`."""

PUBLISHING_AT_ONCE = 2
"""Finished tasks that may be on their way out together, before the engine waits for one of them."""

SICK_LIMIT = 2
"""Different tasks, with none done between them, on which the device failed before the worker stops."""

Run = TypeVar("Run")
Made = TypeVar("Made")

log = structlog.get_logger(__name__)


class Stages(Protocol[Run, Made]):
    """Takes a claimed task through its stages; `headless.runner.TaskRunner` is the one that ships.

    A stage answers what the next one needs, or how the task ended. None of them raises for what a task or a
    machine can do wrong.
    """

    def prepare(self, claim: Claim) -> Run | Settled:
        """Everything before the engine."""

    def generate(self, run: Run, nearly_done: Callable[[float], None]) -> Made | Settled:
        """The engine. `nearly_done` is told how many seconds it still needs."""

    def publish(self, run: Run, made: Made) -> Settled:
        """Everything after the engine."""

    def abandon(self, run: Run) -> Settled:
        """Give back a prepared task."""


@dataclass(frozen=True)
class LoopPolicy:
    """When to look again and when to stop. `busy`, `idle`: the shortest and longest wait in seconds."""

    busy: float = 1.0
    idle: float = 5.0
    until_idle: bool = False
    once: bool = False


class WorkLoop(Generic[Run, Made]):
    """The engine runs in this thread, one task after another; `run()` returns the process's exit status.

    While it runs, two threads publish the tasks before, and one claims and prepares the next: not earlier
    than 3 s (or twice the time that preparing took last) before the engine is predicted to be free, so that
    a task does not wait here while another worker is idle.
    """

    def __init__(
        self,
        queue: TaskQueue,
        engine: Engine,
        stages: Stages[Run, Made],
        shutdown: Shutdown,
        clock: Clock,
        worker_id: str,
        policy: LoopPolicy,
        on_beat: Callable[[], None] = lambda: None,
    ) -> None:
        self._queue = queue
        self._engine = engine
        self._stages = stages
        self._shutdown = shutdown
        self._clock = clock
        self._worker_id = worker_id
        self._policy = policy
        self._on_beat = on_beat
        self._claim_id = str(uuid.uuid4())
        self._answered = True
        self._wait = policy.busy
        self._lead = LEAD_SECONDS
        self._status: int | None = None
        self._sick: set[str | None] = set()
        self._ahead: Future[Run | Settled | None] | None = None
        self._publishing: deque[Future[Settled]] = deque()
        self._held: tuple[Run, Made] | None = None

    def run(self) -> int:
        """Work until asked to stop, until idle, or once, as the policy says. 0: as asked; 1: unfit."""
        log.info("worker started", worker=self._worker_id)
        with (
            ThreadPoolExecutor(1, "prepare") as self._preparer,
            ThreadPoolExecutor(PUBLISHING_AT_ONCE, "publish") as self._publisher,
        ):
            try:
                while not self._shutdown.requested and self._status is None:
                    self._on_beat()
                    self._turn()
            finally:
                self._wind_up()
        log.info("worker stopped", worker=self._worker_id)
        return self._status or 0

    @property
    def _bounded(self) -> bool:
        """Whether somebody waits for this worker's end."""
        return self._policy.until_idle or self._policy.once

    def _turn(self) -> None:
        """One task, or one look at an empty queue."""
        run = self._next()
        if run is None:
            if self._finished():
                self._status = self._status or 0
            else:
                self._rest()
        elif isinstance(run, Settled):
            self._note(run)
        else:
            self._wait = self._policy.busy
            self._run(run)

    def _next(self) -> Run | Settled | None:
        if self._ahead is not None:
            if not self._ahead.done():
                self._publish_held()
            ahead, self._ahead = self._ahead.result(), None
            if ahead is not None:
                return ahead
        self._publish_held()
        return self._claim_and_prepare()

    def _claim_and_prepare(self) -> Run | Settled | None:
        claim = self._claim()
        if claim is None:
            return None
        began = self._clock.monotonic()
        run = self._stages.prepare(claim)
        self._lead = max(LEAD_SECONDS, 2 * (self._clock.monotonic() - began))
        return run

    def _claim(self) -> Claim | None:
        """A task or nothing. A claim without an answer may have been granted, so its id is kept."""
        capability = Capability(
            loaded_model=self._engine.loaded_model, description=dict(self._engine.versions())
        )
        try:
            claim = self._queue.claim(self._worker_id, self._claim_id, capability)
        except (QueueUnavailable, DiskFull) as error:
            if isinstance(error, DiskFull) and self._bounded:
                raise
            log.warning("queue not reached, trying again", error=error.message)
            self._answered = False
            return None
        # An answered id is spent, with a task or without: one that was granted unheard and has since been
        # taken over answers nothing, for ever.
        self._answered = True
        self._claim_id = str(uuid.uuid4())
        return claim

    def _run(self, run: Run) -> None:
        made = self._stages.generate(run, self._nearly_done)
        self._publish_held()
        if isinstance(made, Settled):
            self._note(made)
            return
        self._await_publications(PUBLISHING_AT_ONCE - 1)
        self._held = run, made
        if self._policy.once:
            self._publish_held()
            self._await_publications()
            self._status = self._status or 0

    def _publish_held(self) -> None:
        """Begin to publish the last task: when the engine has the next one, for it must not wait until then
        while another thread holds the interpreter; or at once, where there is no next one."""
        if self._held is not None:
            (run, made), self._held = self._held, None
            self._publishing.append(self._publisher.submit(self._stages.publish, run, made))

    def _nearly_done(self, seconds: float) -> None:
        """Have the last task published, and the next one prepared if the engine is free soon."""
        self._publish_held()
        stopping = self._shutdown.requested or self._policy.once or self._status is not None
        if self._ahead is None and not stopping and seconds <= self._lead:
            self._ahead = self._preparer.submit(self._prepare_ahead)

    def _prepare_ahead(self) -> Run | Settled | None:
        """The next task, unless a stop came in between: it would be the one that is given back just now."""
        return None if self._shutdown.requested else self._claim_and_prepare()

    def _await_publications(self, at_most: int = 0) -> None:
        """Wait until at most that many are under way; those that are through are noted in any case."""
        while self._publishing and (len(self._publishing) > at_most or self._publishing[0].done()):
            self._note(self._publishing.popleft().result())

    def _note(self, settled: Settled) -> None:
        """Draw the consequences of a task's end: a machine that is sick on two tasks takes itself out."""
        if settled.error_class == DeviceSick.error_class:
            self._sick.add(settled.task_id)
        elif settled.outcome is Outcome.DONE:
            self._sick.clear()
        lost = settled.error_class == RankLost.error_class
        unfit = settled.outcome is Outcome.UNFIT and (lost or self._bounded or len(self._sick) >= SICK_LIMIT)
        if unfit or (settled.outcome is Outcome.UNSETTLED and self._bounded):
            log.error("stopping: this machine cannot run the task", why=settled.message)
            self._status = 1
        elif self._policy.once:
            self._status = self._status or 0

    def _finished(self) -> bool:
        if not self._policy.until_idle or not self._answered:
            return False
        self._await_publications()
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

    def _wind_up(self) -> None:
        """Let the publisher finish, and give back what was prepared or may have been granted unheard."""
        ahead = None
        self._publish_held()
        if self._ahead is not None:
            ahead, self._ahead = self._ahead.result(), None
        if ahead is None and not self._answered:
            ahead = self._claim_and_prepare()
        if ahead is not None and not isinstance(ahead, Settled):
            self._stages.abandon(ahead)
        self._await_publications()
