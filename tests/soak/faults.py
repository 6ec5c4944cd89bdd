"""What goes wrong, and when: a sequence that the seed alone decides."""

from __future__ import annotations

import random
from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum


class Kind(StrEnum):
    """What can go wrong."""

    KILL = "kill"
    """SIGKILL to a worker."""
    STOP = "stop"
    """SIGSTOP to a worker for longer than its lease, then SIGCONT: a zombie comes back."""
    CRASH = "crash"
    """The database crashes and is started again."""
    RESTART = "restart"
    """The database is shut down and started again."""
    CUT = "cut"
    """The database drops every connection."""


_OF_WORKERS = {Kind.KILL: 6, Kind.STOP: 2}
_OF_DATABASES = {Kind.CRASH: 0.7, Kind.RESTART: 0.7, Kind.CUT: 0.6}
LONGEST_HESITATION = 0.3


@dataclass(frozen=True)
class Fault:
    """`after` more jobs are done, then `hesitation` seconds later. `victim`, 0 to 1, chooses the worker;
    a stop lasts for `leases` leases."""

    kind: Kind
    after: int
    hesitation: float
    victim: float
    leases: float


def faults(seed: int, jobs_per_fault: float, *, database: bool) -> Iterator[Fault]:
    """An endless sequence. `database`: whether there is one that can be restarted."""
    chance = random.Random(seed)
    weights = _OF_WORKERS | (_OF_DATABASES if database else {})
    while True:
        (kind,) = chance.choices(list(weights), list(weights.values()))
        yield Fault(
            kind,
            after=round(chance.expovariate(1 / jobs_per_fault)),
            hesitation=chance.uniform(0, LONGEST_HESITATION),
            victim=chance.random(),
            leases=chance.uniform(1.2, 2.0),
        )
