"""Calls that must get through: a finished result waits for the queue rather than being thrown away."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

import structlog
import tenacity

from headless.errors import HeadlessError, QueueUnavailable, StorageUnavailable
from headless.ports import Clock

T = TypeVar("T")

log = structlog.get_logger(__name__)


UNANSWERED: tuple[type[HeadlessError], ...] = (QueueUnavailable, StorageUnavailable)


def persistently(
    what: str,
    call: Callable[[], T],
    clock: Clock,
    limit_seconds: float,
    passing: tuple[type[HeadlessError], ...] = UNANSWERED,
) -> T:
    """`call()`, tried again with growing, spread pauses while it raises what is expected to pass: by default
    that queue or storage do not answer.

    Every retry is logged. The last error is raised once `limit_seconds` have passed.
    """

    def tell(state: tenacity.RetryCallState) -> None:
        error = state.outcome.exception() if state.outcome else None
        log.warning(
            f"{what} did not get through, trying again", attempt=state.attempt_number, error=str(error)
        )

    began = clock.monotonic()
    retrying = tenacity.Retrying(
        retry=tenacity.retry_if_exception_type(passing),
        wait=tenacity.wait_exponential_jitter(multiplier=0.5, max=30, jitter=1),
        stop=lambda _: clock.monotonic() - began >= limit_seconds,
        sleep=clock.sleep,
        before_sleep=tell,
        reraise=True,
    )
    return retrying(call)
