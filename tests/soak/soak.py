"""One soak: the jobs, the faults, the verdict."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass

from tests.soak.audit import Verdict, audit
from tests.soak.chaos import Chaos
from tests.soak.customer import Customer
from tests.soak.evidence import gather
from tests.soak.faults import Kind, faults
from tests.soak.fleet import Fleet
from tests.soak.ground import Ground
from tests.soak.jobs import Job
from tests.soak.options import SoakOptions
from tests.soak.videos import what_is_wrong

ROUND_SECONDS = 0.1
REPORT_SECONDS = 10.0

Say = Callable[[str], None]


@dataclass(frozen=True)
class Tally:
    """What happened meanwhile."""

    kills: int
    stops: int
    restarts: int
    cuts: int
    retries: int
    starts: int
    seconds: float

    def line(self) -> str:
        """For people."""
        return (
            f"{self.seconds:.0f} s, {self.starts} starts of workers, {self.stops} stops beyond a lease, "
            f"{self.cuts} cuts of all connections, {self.retries} tasks in quarantine queued again"
        )


class Soak:
    """`run` answers the verdict and the tally."""

    def __init__(self, options: SoakOptions, ground: Ground, say: Say) -> None:
        self._options = options
        self._ground = ground
        self._say = say
        self._jobs = [Job(number) for number in range(1, options.jobs + 1)]
        self._done = 0
        self._began = time.monotonic()

    def run(self) -> tuple[Verdict, Tally]:
        """Work everything off under faults, stop, audit."""
        o = self._options
        plan = faults(o.seed, o.jobs_per_fault, database=self._ground.has_database)
        with (
            Fleet(self._ground, o.workers, o.step_seconds) as fleet,
            Customer(self._ground, self._jobs, lambda: self._done) as customer,
        ):
            chaos = Chaos(self._ground, fleet, plan, o.lease_seconds)
            done = self._work(fleet, chaos, customer)
            fleet.wind_down()
            if done:
                fleet.clear_up()
        verdict = self._audit(fleet, customer)
        if customer.error is not None:
            verdict.wrong.append(f"the customer met an error: {customer.error!r}")
        elif not done:
            verdict.wrong.append(f"the time of {o.seconds:g} s was up before everything was done")
        return verdict, self._tally(fleet, chaos, customer)

    def _work(self, fleet: Fleet, chaos: Chaos, customer: Customer) -> bool:
        """Until nothing is left to do; whether it came to that in time."""
        pause, reported = threading.Event(), 0.0
        while (seconds := time.monotonic() - self._began) < self._options.seconds and customer.error is None:
            census = self._ground.census()
            self._done = census.get("Complete", 0)
            if not customer.waiting:
                return True
            if seconds >= reported + REPORT_SECONDS:
                reported = seconds
                self._report(seconds, census, chaos)
            fleet.start_missing()
            chaos.step(self._done, time.monotonic())
            pause.wait(ROUND_SECONDS)
        return False

    def _report(self, seconds: float, census: dict[str, int], chaos: Chaos) -> None:
        states = ", ".join(f"{count} {status}" for status, count in sorted(census.items()))
        struck = ", ".join(f"{count} {kind}" for kind, count in sorted(chaos.counts.items())) or "no faults"
        self._say(f"{seconds:5.0f} s  {states}; {struck}")

    def _audit(self, fleet: Fleet, customer: Customer) -> Verdict:
        evidence = gather(self._ground, fleet.logs)
        scratch = self._ground.site.folder / "audited.mp4"

        def look(job: Job, key: str, sha256: str) -> str | None:
            return what_is_wrong(self._ground.site.storage, job, key, sha256, scratch)

        verdict = audit(self._jobs, customer.accepted, evidence, look)
        verdict.wrong += fleet.complaints
        return verdict

    def _tally(self, fleet: Fleet, chaos: Chaos, customer: Customer) -> Tally:
        return Tally(
            kills=chaos.counts[Kind.KILL],
            stops=chaos.counts[Kind.STOP],
            restarts=chaos.restarts,
            cuts=chaos.counts[Kind.CUT],
            retries=customer.retries,
            starts=sum(slot.starts for slot in fleet.slots),
            seconds=time.monotonic() - self._began,
        )


def conclude(verdict: Verdict, tally: Tally, jobs: int, say: Say) -> int:
    """Tell everything, the counts last; the exit status."""
    for line in verdict.lines():
        say(line)
    say(tally.line())
    say(
        f"lost {len(verdict.lost)}, published twice {len(verdict.twice)}, kills {tally.kills}, "
        f"restarts {tally.restarts}, jobs {jobs}"
    )
    return 0 if verdict.clean else 1
