"""Carries out the faults, and counts them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator

from tests.soak.faults import Fault, Kind
from tests.soak.fleet import Fleet
from tests.soak.ground import Ground


class Chaos:
    """`step` is called again and again; `counts` says what has happened so far."""

    def __init__(self, ground: Ground, fleet: Fleet, plan: Iterator[Fault], lease_seconds: float) -> None:
        self._ground = ground
        self._fleet = fleet
        self._plan = plan
        self._lease = lease_seconds
        self._next = next(plan)
        self._due_at = float(self._next.after)
        self._strike_at: float | None = None
        self.counts: Counter[Kind] = Counter()

    @property
    def restarts(self) -> int:
        """How often the database was started anew."""
        return self.counts[Kind.CRASH] + self.counts[Kind.RESTART]

    def step(self, done: int, now: float) -> None:
        """Strike if it is time. `done`: jobs so far; `now`: seconds."""
        self._fleet.wake(now)
        if self._strike_at is None and done >= self._due_at:
            self._strike_at = now + self._next.hesitation
        if self._strike_at is not None and now >= self._strike_at:
            self._strike(self._next, now)
            self._next, self._strike_at = next(self._plan), None
            self._due_at = done + self._next.after

    def _strike(self, fault: Fault, now: float) -> None:
        slot = self._fleet.slots[int(fault.victim * len(self._fleet.slots))]
        if fault.kind is Kind.KILL:
            struck = self._fleet.kill(slot)
        elif fault.kind is Kind.STOP:
            struck = self._fleet.stop(slot, now + fault.leases * self._lease)
        else:
            self._ground.disturb(fault.kind)
            struck = True
        self.counts[fault.kind] += struck
