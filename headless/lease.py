"""The lease on a claimed task: renewed by a thread, carries progress out and cancellation in."""

from __future__ import annotations

import contextvars
import threading
from collections.abc import Callable
from dataclasses import replace
from types import TracebackType
from typing import assert_never

import structlog

from headless.errors import Cancelled, HeadlessError, LeaseLost
from headless.ports import Clock, TaskQueue
from headless.task import Claim, Phase, Progress, RenewAnswer
from headless.watchdog import Watchdog

RENEWALS_PER_LEASE = 3
SECONDS_BETWEEN_REPORTS = 2.0
PERCENT_BETWEEN_REPORTS = 2.0

log = structlog.get_logger(__name__)


class Lease:
    """`with Lease(queue, claim, clock) as lease:` keeps the task ours.

    The thread renews three times per lease, and earlier when there is something to tell: a new phase at
    once, otherwise after 2 s or 2 % of progress. `check()` raises `Cancelled` or `LeaseLost` once the queue
    said so.
    A queue that does not answer, or refuses, is tried again until it does: the fence decides in the end, not
    our clock.
    A watchdog that finds the engine hanging is told to the queue as `stalled`; then `on_stalled` is called.
    """

    def __init__(
        self,
        queue: TaskQueue,
        claim: Claim,
        clock: Clock,
        on_beat: Callable[[], None] = lambda: None,
        watchdog: Watchdog | None = None,
        on_stalled: Callable[[], None] = lambda: None,
    ) -> None:
        self._queue = queue
        self._claim = claim
        self._clock = clock
        self._on_beat = on_beat
        self._watchdog = watchdog
        self._on_stalled = on_stalled
        self._interval = claim.lease_seconds / RENEWALS_PER_LEASE
        self._changed = threading.Condition()
        self._progress = Progress(Phase.CLAIMED)
        self._sent = self._progress
        self._sent_at = clock.monotonic()
        self._known: Progress | None = self._progress
        self._answer = RenewAnswer.OK
        self._closing = False
        context = contextvars.copy_context()
        self._thread = threading.Thread(
            target=context.run, args=(self._renew_until_closed,), name=f"lease-{claim.task_id}", daemon=True
        )

    def __enter__(self) -> Lease:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        with self._changed:
            self._closing = True
            self._changed.notify_all()
        self._thread.join()

    @property
    def progress(self) -> Progress:
        """The newest progress, sent or not."""
        return self._progress

    def report(self, progress: Progress) -> None:
        """Note how far the task is; the thread sends it when it is due."""
        with self._changed:
            kept = progress.preview_key or self._progress.preview_key
            self._progress = replace(progress, preview_key=kept)
            if self._worth_sending():
                self._changed.notify_all()

    def show_preview(self, key: str) -> None:
        """Name the newest preview picture; it travels with the next report."""
        with self._changed:
            self._progress = replace(self._progress, preview_key=key)

    def make_known(self) -> bool:
        """Wait until the queue has heard whether the task waits for the engine, and say whether it has.

        Waits for a third of the lease at most.
        """
        with self._changed:
            return self._changed.wait_for(self._is_known, self._interval)

    def _is_known(self) -> bool:
        known = self._known is not None and self._known.waiting == self._progress.waiting
        return known or self._answer is RenewAnswer.LOST

    def check(self) -> None:
        """Raise `Cancelled` or `LeaseLost` if the queue said so."""
        match self._answer:
            case RenewAnswer.OK:
                return
            case RenewAnswer.CANCEL:
                raise Cancelled("The task was cancelled.")
            case RenewAnswer.LOST:
                raise LeaseLost("Another worker owns the task now.")
            case _:
                assert_never(self._answer)

    def _worth_sending(self) -> bool:
        new, old = self._progress, self._sent
        if new.phase is not old.phase or new.segment != old.segment or new.waiting != old.waiting:
            return True
        waited = self._clock.monotonic() - self._sent_at
        return new != old and (
            waited >= SECONDS_BETWEEN_REPORTS or new.percent - old.percent >= PERCENT_BETWEEN_REPORTS
        )

    def _renew_until_closed(self) -> None:
        while True:
            with self._changed:
                due_in = self._sent_at + self._interval - self._clock.monotonic()
                if not self._closing and due_in > 0 and not self._worth_sending():
                    self._changed.wait(min(due_in, SECONDS_BETWEEN_REPORTS))
                if self._closing:
                    return
                if not self._worth_sending() and self._sent_at + self._interval > self._clock.monotonic():
                    continue
                progress, began = self._progress, self._clock.monotonic()
                self._known = None
            self._renew(progress, began)
            if self._answer is RenewAnswer.LOST:
                return

    def _renew(self, progress: Progress, began: float) -> None:
        known = None
        quiet = self._watchdog.stalled_for() if self._watchdog else None
        if quiet is not None:
            log.error("the engine hangs: it has said nothing for too long", seconds=round(quiet))
            progress = replace(progress, stalled=True)
        try:
            answer = self._queue.renew(self._claim.task_id, self._claim.attempt, progress)
            known = progress
        except HeadlessError as error:
            log.warning("lease not renewed, trying again", error=error.message)
            answer = self._answer
        except Exception as error:
            # Whatever it is, this thread goes on: without it the task would be lost and nobody told.
            log.error("lease not renewed, trying again", exc_info=error)
            answer = self._answer
        if quiet is not None:
            self._on_stalled()
        self._on_beat()
        with self._changed:
            self._sent, self._sent_at, self._known = progress, began, known
            if self._answer is not RenewAnswer.CANCEL or answer is RenewAnswer.LOST:
                self._answer = answer
            self._changed.notify_all()
