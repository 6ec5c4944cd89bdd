"""What a kill, cut connections and a restart of the database cost: time, lost tasks, work done twice."""

from __future__ import annotations

import os
import signal
import statistics
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

from benchmarks.queues.crew import Crew
from benchmarks.queues.journal import BEGIN, END, Entry
from benchmarks.queues.producers import Producer
from benchmarks.queues.servers import Servers
from benchmarks.queues.sides import GATEWAY, PGQUEUER, PROCRASTINATE, SQLITE
from benchmarks.queues.worker import Settings

LEASE = 3.0
"""Seconds of silence after which each queue takes a worker for gone."""
POLL = 1.0
LIMIT = 90.0
CREWED = (GATEWAY, SQLITE, PROCRASTINATE, PGQUEUER)


@dataclass
class Recovery:
    """Of one queue and one kind of fault, in seconds from it: to the next start of a task, and until all are
    complete. `repeated`: engine seconds done again, of which the mean is told. `lost`: tasks never completed;
    `begun_twice`, `done_twice`: tasks that were begun, or done to the end, more than once."""

    next_start: list[float] = field(default_factory=list)
    complete: list[float] = field(default_factory=list)
    repeated: list[float] = field(default_factory=list)
    tasks: int = 0
    lost: int = 0
    begun_twice: int = 0
    done_twice: int = 0

    def summary(self) -> dict[str, Any]:
        """Medians, and the longest."""
        return {
            "faults": len(self.complete),
            "next_start_s": _median(self.next_start),
            "complete_s": _median(self.complete),
            "longest_s": max((round(one, 2) for one in self.complete), default=None),
            "repeated_s": round(statistics.mean(self.repeated), 2) if self.repeated else None,
            "tasks": self.tasks,
            "lost": self.lost,
            "begun_twice": self.begun_twice,
            "done_twice": self.done_twice,
        }


def _median(times: Sequence[float]) -> float | None:
    return round(statistics.median(times), 2) if times else None


def recoveries(servers: Servers, rounds: int, engine: float) -> dict[str, dict[str, dict[str, Any]]]:
    """Fault -> queue -> summary. In each round every queue has its turn at every fault."""
    faults: dict[str, dict[str, Recovery]] = {
        "SIGKILL": {name: Recovery() for name in CREWED},
        "backend termination": {name: Recovery() for name in CREWED if name != SQLITE},
        "database restart": {name: Recovery() for name in CREWED if name != SQLITE},
    }
    cluster = servers.stack.cluster
    servers.clear()
    servers.stack.sql("update gpu_queue.settings set lease_seconds = %s", LEASE)
    for number in range(rounds):
        share = (number + 0.5) / rounds
        for name, found in faults["SIGKILL"].items():
            _kill(servers, name, engine, share, found)
        for name, found in faults["backend termination"].items():
            _cut(servers, name, partial(cluster.terminate_backends, servers.database(name)), found)
        for name, found in faults["database restart"].items():
            _cut(servers, name, partial(cluster.restart, immediate=True), found)
    return {fault: {name: one.summary() for name, one in found.items()} for fault, found in faults.items()}


def crew_settings(servers: Servers, name: str, folder: Path, engine: float, **changes: float) -> Settings:
    """Workers of one queue, with their files in `folder`."""
    times = {"lease": LEASE, "busy": POLL, "idle": POLL} | changes
    return Settings(
        side=name, at=servers.at, folder=folder, journal=folder / "journal", engine=engine, **times
    )


def _kill(servers: Servers, name: str, engine: float, share: float, found: Recovery) -> None:
    """SIGKILL after `share` of the engine's time, with a second worker idle beside."""
    with tempfile.TemporaryDirectory() as folder:
        settings = crew_settings(servers, name, Path(folder), engine)
        done = servers.complete(name)
        with Crew(settings, 2) as crew:
            _enqueue(servers, name, ["victim"])
            first = crew.wait(lambda: crew.journal.first(BEGIN, lambda _: True), LIMIT)
            if first is None:
                raise RuntimeError(f"{name}: no worker began")
            time.sleep(max(0.0, first.at + share * engine - time.time()))
            os.kill(first.pid, signal.SIGKILL)
            killed_at = time.time()
            _await_done(servers, name, crew, found, ["victim"], done)
            found.complete.append(time.time() - killed_at)
        again = crew.journal.first(BEGIN, lambda one: one.at > killed_at)
        if again is not None:
            found.next_start.append(again.at - killed_at)
            spent = sum(one.seconds for one in crew.journal.entries(END))
            found.repeated.append(max(0.0, killed_at - first.at + spent - engine))


BACKLOG = 8
SHORT = 0.5


def _cut(servers: Servers, name: str, fault: Callable[[], object], found: Recovery) -> None:
    """A fault while two workers have a backlog of short tasks."""
    with tempfile.TemporaryDirectory() as folder:
        settings = crew_settings(servers, name, Path(folder), SHORT)
        done = servers.complete(name)
        labels = [f"task-{number}" for number in range(BACKLOG)]
        with Crew(settings, 2) as crew:
            _enqueue(servers, name, labels)
            crew.wait(lambda: len(crew.journal.entries(END)) >= 2, LIMIT)
            cut_at = time.time()
            fault()
            _await_done(servers, name, crew, found, labels, done)
            found.complete.append(time.time() - cut_at)
        after = crew.journal.first(BEGIN, lambda one: one.at > cut_at)
        if after is not None:
            found.next_start.append(after.at - cut_at)


def _enqueue(servers: Servers, name: str, labels: Sequence[str]) -> None:
    with Producer(name, servers.at) as producer:
        for label in labels:
            producer.enqueue(label)


def _await_done(
    servers: Servers, name: str, crew: Crew, found: Recovery, labels: Sequence[str], before: int
) -> None:
    """Wait until the queue says that all are complete, then count what was begun and done more than once."""
    found.tasks += len(labels)
    crew.wait(lambda: {one.label for one in crew.journal.entries(END)} >= set(labels), LIMIT)
    crew.wait(lambda: servers.complete(name) - before >= len(labels), 4 * LEASE)
    found.lost += max(0, len(labels) - (servers.complete(name) - before))
    found.begun_twice += _repeats(crew.journal.entries(BEGIN))
    found.done_twice += _repeats(crew.journal.entries(END))


def _repeats(entries: Sequence[Entry]) -> int:
    return sum(times > 1 for times in Counter(one.label for one in entries).values())
