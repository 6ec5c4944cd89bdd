"""What becomes of a task after its run: the one place where errors turn into answers to the queue."""

from __future__ import annotations

import errno
from dataclasses import dataclass
from enum import StrEnum

import structlog

from headless.errors import (
    BadParams,
    Cancelled,
    DiskFull,
    HeadlessError,
    InternalError,
    Interruption,
    LeaseLost,
    MachineError,
    RetryableError,
    TaskError,
    Unsafe,
    UsageError,
)
from headless.ports import TaskQueue
from headless.task import Claim, Report
from models.definition import BadDefinition, UnknownModel
from models.lora_files import BadLora, LoraMissing, UnsafeLora
from wan2gp_patch.errors import ConditioningError

NO_ROOM = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)

log = structlog.get_logger(__name__)


class Outcome(StrEnum):
    """How a claimed task ended here."""

    DONE = "done"
    FAILED = "failed"
    RETRY = "retry"
    RELEASED = "released"
    UNFIT = "unfit"
    """Released because this machine cannot run it."""
    CANCELLED = "cancelled"
    LOST = "lost"
    LEFT = "left"
    """Generated; the result waits in the outbox."""
    UNSETTLED = "unsettled"
    """The queue could not be told; the lease will run out."""


@dataclass(frozen=True)
class Settled:
    """The outcome and, unless done, the sentence that explains it."""

    outcome: Outcome
    message: str = ""
    error_class: str | None = None
    task_id: str | None = None


def translate(error: Exception) -> HeadlessError:
    """Any exception of a run as a member of the error tree."""
    if isinstance(error, HeadlessError):
        return error
    if isinstance(error, ConditioningError | UnknownModel | BadDefinition):
        return BadParams(str(error))
    if isinstance(error, UnsafeLora):
        return Unsafe(f"loras: {error}")
    if isinstance(error, LoraMissing | BadLora):
        return BadParams(f"loras: {error}")
    if isinstance(error, OSError) and error.errno in NO_ROOM:
        where = f" at {error.filename}" if error.filename else ""
        return DiskFull(
            f"No room is left on the disk{where}. Free some space; the task waits and is not charged."
        )
    return InternalError(f"{type(error).__name__}: {error}")


def settle(queue: TaskQueue, claim: Claim, error: HeadlessError, report: Report = None) -> Settled:
    """Tell the queue how a run that did not complete ended, and what is known about it."""
    match error:
        case LeaseLost():
            log.info("task abandoned", why=error.message)
            return Settled(Outcome.LOST, error.message)
        case Cancelled():
            queue.fail(claim.task_id, claim.attempt, error.error_class, error.message, False, report)
            log.info("task cancelled")
            return Settled(Outcome.CANCELLED, error.message)
        case Interruption():
            queue.release(claim.task_id, claim.attempt, error.message, report=report)
            log.info("task given back", why=error.message)
            return Settled(Outcome.RELEASED, error.message)
        case MachineError() | UsageError():
            queue.release(claim.task_id, claim.attempt, error.message, RELEASE_DELAY, report)
            log.error(
                "task given back, this machine cannot run it",
                error_class=error.error_class,
                why=error.message,
            )
            return Settled(Outcome.UNFIT, error.message, error.error_class, claim.task_id)
        case RetryableError() | InternalError():
            queue.fail(claim.task_id, claim.attempt, error.error_class, error.message, True, report)
            log.warning("attempt failed, to be tried again", error_class=error.error_class, why=error.message)
            return Settled(Outcome.RETRY, error.message)
        case TaskError():
            queue.fail(claim.task_id, claim.attempt, error.error_class, error.message, False, report)
            log.warning("task failed", error_class=error.error_class, why=error.message)
            return Settled(Outcome.FAILED, error.message)
        case _:
            queue.fail(claim.task_id, claim.attempt, error.error_class, error.message, False, report)
            log.error("task failed", error_class=error.error_class, why=error.message)
            return Settled(Outcome.FAILED, error.message)


RELEASE_DELAY = 30.0
"""Seconds for which nobody claims a task that this machine could not run, so that others come first."""
