"""How long a task waits for a worker that has nothing else to do."""

from __future__ import annotations

import random
import statistics
import tempfile
import time
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from typing import Any

from benchmarks.queues.crew import Crew
from benchmarks.queues.journal import BEGIN, END
from benchmarks.queues.producers import Producer
from benchmarks.queues.recovery import LIMIT, crew_settings
from benchmarks.queues.servers import Servers
from benchmarks.queues.sides import GATEWAY, PGQUEUER, PROCRASTINATE, SQLITE

ENGINE = 0.05
SHIPPED = {"busy": 1.0, "idle": 5.0, "lease": 60.0}
CASES = {
    f"{GATEWAY}, polling as shipped (1 to 5 s)": (GATEWAY, SHIPPED),
    f"{SQLITE}, polling every 0.1 s": (SQLITE, {"busy": 0.1, "idle": 0.1, "lease": 60.0}),
    f"{PROCRASTINATE}, told by the database": (PROCRASTINATE, SHIPPED),
    f"{PGQUEUER}, told by the database": (PGQUEUER, SHIPPED),
}


def enqueue_to_start(servers: Servers, samples: int) -> dict[str, dict[str, Any]]:
    """Milliseconds from the call that queues a task until its work begins; every queue has one idle worker.

    The queues take turns, with pauses between rounds that are random and longer than the longest poll.
    """
    took: dict[str, list[float]] = {case: [] for case in CASES}
    servers.clear()
    with ExitStack() as stack:
        idle = {}
        for case, (name, times) in CASES.items():
            folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
            crew = stack.enter_context(Crew(crew_settings(servers, name, folder, ENGINE, **times), 1))
            idle[case] = crew, stack.enter_context(Producer(name, servers.at))
        for number in range(samples):
            time.sleep(SHIPPED["idle"] * (1.2 + random.random()))
            for case, (crew, producer) in idle.items():
                took[case].append(_one(crew, producer, f"task-{number}"))
    return {case: _summary(times) for case, times in took.items()}


def _one(crew: Crew, producer: Producer, label: str) -> float:
    began = time.time()
    producer.enqueue(label)
    started = crew.wait(partial(crew.journal.first, BEGIN, lambda one: one.label == label), LIMIT)
    if started is None:
        raise RuntimeError(f"{label} was not begun")
    crew.wait(partial(crew.journal.first, END, lambda one: one.label == label), LIMIT)
    return 1000 * (started.at - began)


def _summary(times: list[float]) -> dict[str, Any]:
    return {"p50_ms": round(statistics.median(times)), "max_ms": round(max(times)), "samples": len(times)}
