"""How quickly tasks are claimed: the wait of one worker, and how many claims several get in a second."""

from __future__ import annotations

import multiprocessing
import statistics
import time
from collections.abc import Sequence
from dataclasses import dataclass
from multiprocessing.connection import Connection
from typing import Any, Self

from benchmarks.queues.servers import Servers
from benchmarks.queues.sides import NAMES, Addresses, Side, open_side

WAITING = 1000
"""Tasks that wait in each queue before every measurement."""
BURST = 20
WARM_UP = 10


@dataclass(frozen=True)
class Latency:
    """Milliseconds from asking for a task to having it."""

    p50: float
    p99: float
    claims: int


def latencies(servers: Servers, claims: int) -> dict[str, Latency]:
    """One worker on each queue, in turns of 20 claims; each task is finished before the next claim."""
    sides = {name: open_side(name, servers.at) for name in NAMES}
    took: dict[str, list[float]] = {name: [] for name in NAMES}
    for name, side in sides.items():
        servers.fill(name, WAITING + claims + BURST)
        for _ in range(WARM_UP):
            side.claim()
    servers.analyze()
    for turn in range(-(-claims // BURST)):
        for name in _rotated(NAMES, turn):
            took[name] += [1000 * sides[name].claim() for _ in range(BURST)]
    for side in sides.values():
        side.close()
    return {name: _latency(times) for name, times in took.items()}


def _latency(times: list[float]) -> Latency:
    cuts = statistics.quantiles(times, n=100, method="inclusive")
    return Latency(round(cuts[49], 2), round(cuts[98], 2), len(times))


def _rotated(names: Sequence[str], turn: int) -> Sequence[str]:
    first = turn % len(names)
    return [*names[first:], *names[:first]]


def throughputs(
    servers: Servers, workers: Sequence[int], seconds: float, rounds: int
) -> dict[str, dict[int, float]]:
    """Claims per second of so many worker processes together, each finishing its task before the next.

    The median over the rounds; in each round every queue has its turn.
    """
    found: dict[str, dict[int, list[float]]] = {name: {n: [] for n in workers} for name in NAMES}
    with Crowd(servers.at, max(workers)) as crowd:
        for turn in range(rounds):
            for count in workers:
                for name in _rotated(NAMES, turn):
                    servers.fill(name, WAITING + int(3000 * seconds))
                    found[name][count].append(crowd.rate(name, count, seconds))
            servers.clear()
    return {
        name: {n: round(statistics.median(rates), 1) for n, rates in counts.items()}
        for name, counts in found.items()
    }


class Crowd:
    """Worker processes that claim when told to."""

    def __init__(self, at: Addresses, size: int) -> None:
        spawn = multiprocessing.get_context("spawn")
        self._ends: list[Connection] = []
        self._processes: list[Any] = []
        for _ in range(size):
            ours, theirs = spawn.Pipe()
            process = spawn.Process(target=_work, args=(at, theirs), daemon=True)
            process.start()
            self._ends.append(ours)
            self._processes.append(process)
        for end in self._ends:
            end.recv()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        for end in self._ends:
            end.send(None)
        for process in self._processes:
            process.join()

    def rate(self, name: str, count: int, seconds: float) -> float:
        """Claims per second of the first `count` of them, all at once."""
        chosen = self._ends[:count]
        for end in chosen:
            end.send((name, 0.0))
        for end in chosen:
            end.recv()
        began = time.perf_counter()
        for end in chosen:
            end.send((name, seconds))
        claimed = sum(int(end.recv()) for end in chosen)
        return claimed / (time.perf_counter() - began)


def _work(at: Addresses, orders: Connection) -> None:
    """Connect to the queue of an order without time; claim from it for the time of the next."""
    sides: dict[str, Side] = {}
    orders.send(None)
    while (order := orders.recv()) is not None:
        name, seconds = order
        if name not in sides:
            for other in sides.values():
                other.close()
            sides = {name: open_side(name, at)}
        orders.send(sides[name].cycles(seconds))
    for side in sides.values():
        side.close()
