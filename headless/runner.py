"""The stages of a task with their ends: what a stage raises is settled with the queue here."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager

import structlog
from structlog.contextvars import bound_contextvars

from headless.delivery import deliver
from headless.errors import Cancelled, DiskFull, Draining, LeaseLost
from headless.forecast import Forecast
from headless.job import JobServices
from headless.job_listener import SilentListener
from headless.outbox import Parcel
from headless.persistence import UNANSWERED, persistently
from headless.run_task import Made, TaskRun
from headless.settle import Outcome, Settled, settle, translate
from headless.task import Claim, Report

SETTLE_LIMIT = 60.0

log = structlog.get_logger(__name__)


class TaskRunner:
    """Takes claimed tasks through their stages. No stage raises for what a task or a machine can do wrong:
    a stage that ends the task answers how it ended, and the lease and the files are gone then."""

    def __init__(self, services: JobServices) -> None:
        self._services = services
        self._forecast = Forecast()

    def preload(self, model: str) -> None:
        """Load a model before the first task. Raises what a load does, and `BadParams` for an unknown id."""
        try:
            self._services.engine.load(model, SilentListener())
        except Exception as error:
            known = translate(error)
            raise known from error

    def prepare(self, claim: Claim) -> TaskRun | Settled:
        """Validate, fetch, plan."""
        run = TaskRun(self._services, claim)
        with self._bound(claim):
            log.info("task claimed", task_type=claim.task_type)
            try:
                run.open()
                run.prepare()
            except Exception as error:
                return self._end(run, error)
        return run

    def generate(self, run: TaskRun, nearly_done: Callable[[float], None]) -> Made | Settled:
        """Run the engine. `nearly_done(seconds)` is told how long the engine still needs, as far as known."""
        with self._bound(run.claim):
            try:
                run.listener.on_remaining = nearly_done
                return run.generate(self._forecast)
            except Exception as error:
                return self._end(run, error)

    def publish(self, run: TaskRun, made: Made) -> Settled:
        """Complete the files, upload them and complete the task."""
        with self._bound(run.claim):
            try:
                parcel = run.finish(made)
            except Exception as error:
                return self._end(run, error)
            return self._deliver(run, parcel)

    def abandon(self, run: TaskRun) -> Settled:
        """Give back a prepared task that will not run here."""
        with self._bound(run.claim):
            return self._end(run, Draining("The worker was asked to stop before the task began."))

    def deliver_waiting(self) -> None:
        """Deliver what an earlier process left in the outbox."""
        for parcel in self._services.outbox.waiting():
            run = TaskRun(self._services, parcel.claim)
            with self._bound(parcel.claim):
                log.info("delivering what was left in the outbox")
                try:
                    run.open()
                    deliver(parcel, self._services, run.listener)
                except (LeaseLost, Cancelled) as error:
                    log.info("the result is no longer wanted", why=error.message)
                    parcel.discard()
                    self._end(run, error, parcel.report)
                except Exception as error:
                    log.warning("not delivered, it stays in the outbox", error=translate(error).message)
                    parcel.leave()
                finally:
                    run.close()

    def _deliver(self, run: TaskRun, parcel: Parcel) -> Settled:
        try:
            deliver(parcel, self._services, run.listener)
        except Draining as error:
            parcel.leave()
            run.close()
            log.info("the result waits in the outbox for the next start", why=error.message)
            return Settled(Outcome.LEFT, error.message)
        except Exception as error:
            return self._end_undelivered(run, parcel, error)
        run.close()
        log.info("task complete")
        return Settled(Outcome.DONE)

    def _end_undelivered(self, run: TaskRun, parcel: Parcel, error: Exception) -> Settled:
        """A result that the queue was not told to forget is kept: the next start may still deliver it."""
        if isinstance(translate(error), DiskFull):
            parcel.discard()
        settled = self._end(run, error)
        if settled.outcome is Outcome.UNSETTLED:
            parcel.leave()
        else:
            parcel.discard()
        return settled

    def _end(self, run: TaskRun, error: Exception, report: Report = None) -> Settled:
        """Settle while the lease is still renewed, then let go of it. `report`: one of an earlier process."""
        known = translate(error)
        if known is not error:
            log.error("the run ended with an error", exc_info=error)
        s, claim = self._services, run.claim
        told = report or _report(run)
        try:
            if isinstance(known, DiskFull):
                run.free_the_disk()
            return persistently(
                "the end",
                lambda: settle(s.queue, claim, known, told),
                s.clock,
                SETTLE_LIMIT,
                (*UNANSWERED, DiskFull),
            )
        except Exception as unsettled:
            log.error("the queue was not told how the task ended; its lease will run out", exc_info=unsettled)
            return Settled(Outcome.UNSETTLED, known.message)
        finally:
            run.close()

    def _bound(self, claim: Claim) -> AbstractContextManager[None]:
        return bound_contextvars(task=claim.task_id, attempt=claim.attempt)


def _report(run: TaskRun) -> Report:
    """What the run knows of itself. Nothing about it may keep the queue from hearing of the end."""
    try:
        return run.report()
    except Exception as error:
        log.error("the attempt ends without a report", exc_info=error)
        return None
