"""Hears from the engine where it is: reports progress, times the phases, stops the run when it must."""

from __future__ import annotations

import math
from collections.abc import Callable

import structlog

from headless.errors import Draining
from headless.forecast import Expected
from headless.lease import Lease
from headless.ports import Clock
from headless.previews import Previews
from headless.segment import Picture
from headless.shutdown import Shutdown
from headless.task import Phase, Progress
from headless.watchdog import Watchdog

_SPAN = {
    Phase.CLAIMED: (0.0, 0.0),
    Phase.FETCHING: (0.0, 2.0),
    Phase.LOADING: (2.0, 5.0),
    Phase.ENCODING: (5.0, 10.0),
    Phase.DENOISING: (10.0, 85.0),
    Phase.DECODING: (85.0, 95.0),
    Phase.CHECKING: (95.0, 97.0),
    Phase.UPLOADING: (97.0, 100.0),
}

_PER_SEGMENT = (5.0, 97.0)
"""The percents that the segments of a task share."""

_OF_THE_ENGINE = frozenset({Phase.LOADING, Phase.ENCODING, Phase.DENOISING, Phase.DECODING})

log = structlog.get_logger(__name__)


class SilentListener:
    """Listens to a load that belongs to no task."""

    def on_phase(self, phase: Phase) -> None:
        """Log it."""
        log.info(phase.value)

    def on_step(self, step: int, steps: int, preview: Callable[[], Picture] | None) -> None:
        """Nothing to tell: a load has no steps."""


class JobListener:
    """Implements `EngineListener` for one task.

    Every call first looks whether the lease is lost, the task cancelled, or the worker's grace time too short
    for what is left; then it raises an `Interruption`.
    """

    def __init__(
        self, lease: Lease, shutdown: Shutdown, previews: Previews, clock: Clock, watchdog: Watchdog
    ) -> None:
        self._lease = lease
        self._shutdown = shutdown
        self._previews = previews
        self._clock = clock
        self._watchdog = watchdog
        self._phase = Phase.CLAIMED
        self._phase_began = clock.monotonic()
        self._timings: dict[str, float] = {}
        self._decoding = math.inf
        self._later = 0.0
        self._segment, self._segments = 0, 1
        self._share = (0.0, 1.0)
        self.on_remaining: Callable[[float], None] = lambda _: None
        """Told how many seconds the engine still needs, as far as that can be predicted."""

    @property
    def timings(self) -> dict[str, float]:
        """Seconds per phase so far, the current one included."""
        running = self._clock.monotonic() - self._phase_began
        spent = self._timings | {self._phase.value: self._timings.get(self._phase.value, 0.0) + running}
        return {phase: round(seconds, 3) for phase, seconds in spent.items() if phase != Phase.CLAIMED.value}

    def on_phase(self, phase: Phase) -> None:
        """Note the phase; the same phase again is a chance to stop."""
        if phase is not self._phase:
            now = self._clock.monotonic()
            self._timings[self._phase.value] = (
                self._timings.get(self._phase.value, 0.0) + now - self._phase_began
            )
            self._phase, self._phase_began = phase, now
            if phase is Phase.DENOISING:
                self._watchdog.begin()
            else:
                self._watchdog.end()
            self._watchdog.listen(phase in _OF_THE_ENGINE)
            log.info(phase.value)
            self._report(phase, _SPAN[phase][0])
        self.check()

    def begin_segment(self, index: int, segments: int, done: float, share: float) -> None:
        """What comes now is segment `index` of so many; `done` and `share`: of the work of the whole task,
        0 to 1, what is behind it and what this is."""
        self._segment, self._segments = index, segments
        self._share = (done, share)

    def on_waiting(self) -> None:
        """Report that nothing is left to do before the engine."""
        self._report(self._phase, _SPAN[self._phase][1], waiting=True)

    def make_known(self) -> None:
        """Wait until the queue knows that the task is with the engine and is no bystander any more."""
        if not self._lease.make_known():
            log.warning("the queue has not heard yet that the task is with the engine; going on")

    def expect(self, expected: Expected, later: float = 0.0) -> None:
        """Take note of what the engine is about to need; `later`: seconds for the segments after this one."""
        self._decoding, self._later = expected.decoding, later
        self.on_remaining(expected.sampling + expected.decoding + later)

    def on_step(self, step: int, steps: int, preview: Callable[[], Picture] | None) -> None:
        """Report a denoising step and offer its preview."""
        self._watchdog.step()
        if preview is not None:
            self._previews.offer(step, preview)
        self._report(self._phase, self._percent(step / steps), step=step, steps=steps)
        log.debug("step", step=step, steps=steps)
        spent = self._clock.monotonic() - self._phase_began
        remaining = spent / step * (steps - step)
        self.on_remaining(remaining + self._decoding + self._later)
        self.check(still_needed=remaining)

    def on_share(self, done: int, total: int) -> None:
        """Report that `done` of `total` parts of the current phase are through."""
        self._report(self._phase, self._percent(done / total))
        if self._phase is Phase.DECODING:
            left = (self._clock.monotonic() - self._phase_began) / done * (total - done)
            self.on_remaining(left + self._later)
        self.check()

    def check(self, still_needed: float = 0.0) -> None:
        """Raise if the run must stop. `still_needed`: seconds that the work is predicted to take."""
        self._watchdog.hear()
        self._lease.check()
        if not self._shutdown.requested:
            return
        left = self._shutdown.seconds_left
        unpredictable = self._phase in (Phase.CLAIMED, Phase.FETCHING, Phase.LOADING, Phase.ENCODING)
        if unpredictable or left < max(still_needed, 0.0):
            raise Draining(
                "The worker was asked to stop and the task would have taken longer than its grace time."
            )

    def _report(
        self, phase: Phase, percent: float, step: int = 0, steps: int = 0, waiting: bool = False
    ) -> None:
        """`percent`: of a task of one segment."""
        first, last = _PER_SEGMENT
        if first <= percent <= last and phase is not Phase.UPLOADING:
            done, share = self._share
            percent = first + done * (last - first) + share * (percent - first)
        progress = Progress(phase, self._segment, self._segments, step, steps, percent, waiting=waiting)
        self._lease.report(progress)

    def _percent(self, share: float) -> float:
        low, high = _SPAN[self._phase]
        return low + (high - low) * min(max(share, 0.0), 1.0)
