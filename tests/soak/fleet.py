"""The workers of a soak: processes that are killed, stopped, continued, and started anew."""

from __future__ import annotations

import contextlib
import signal
from dataclasses import dataclass
from typing import Self

from tests.crash.sites import QUICK, Machine
from tests.crash.worker_process import WorkerProcess
from tests.soak.ground import Ground
from tests.soak.leash import Leash

MACHINES = 2
"""Workers of one machine share its work folder, and with it what killed ones leave there."""

STOPPED_AT_ONCE = 4
"""At most one worker in so many is stopped at a time."""

PATIENCE = 120.0
"""Seconds for which workers may take to stop; a result that cannot be published now may take some."""

_IDLE = ("--idle-poll-interval", "1")
_NOT_READY_FOR_SIGTERM = -signal.SIGTERM


@dataclass
class Slot:
    """A place for one worker, which keeps its name however often it is started anew."""

    name: str
    machine: Machine
    process: WorkerProcess | None = None
    starts: int = 0
    doomed: bool = False
    stopped_until: float | None = None


class Fleet:
    """`workers` processes on two machines, gone at the end of the `with` block.

    `complaints`: workers that ended although nobody killed them, or did not stop when asked to.
    """

    def __init__(self, ground: Ground, workers: int, step_seconds: float) -> None:
        self._ground = ground
        self._step_seconds = step_seconds
        self.logs = ground.site.folder / "logs"
        self.logs.mkdir()
        self.machines = [ground.site.another_machine(f"machine-{number}") for number in range(MACHINES)]
        self.slots = [
            Slot(f"worker-{number:02}", self.machines[number % MACHINES]) for number in range(workers)
        ]
        self.complaints: list[str] = []

    def __enter__(self) -> Self:
        with contextlib.ExitStack() as opened:
            self._leash = opened.enter_context(Leash())
            opened.callback(self._end_all)
            self._opened = opened.pop_all()
        return self

    def __exit__(self, *_: object) -> None:
        self._opened.close()

    def start_missing(self) -> None:
        """Start every worker that is not there."""
        for slot in self.slots:
            status = None if slot.process is None else slot.process.status()
            if slot.process is not None and status is None:
                continue
            if slot.process is not None and not slot.doomed:
                self.complaints.append(f"{slot.name} ended by itself with {status}: {_end(slot.process)}")
            self._start(slot)

    def kill(self, slot: Slot) -> bool:
        """kill -9; whether there was something to kill."""
        if slot.process is None or slot.process.status() is not None:
            return False
        slot.doomed = True
        slot.process.send(signal.SIGKILL)
        slot.process.wait()
        return True

    def stop(self, slot: Slot, until: float) -> bool:
        """SIGSTOP until then, unless too many are stopped already."""
        stopped = sum(other.stopped_until is not None for other in self.slots)
        if slot.process is None or slot.stopped_until is not None:
            return False
        if stopped >= max(1, len(self.slots) // STOPPED_AT_ONCE):
            return False
        slot.process.send(signal.SIGSTOP)
        slot.stopped_until = until
        return True

    def wake(self, now: float) -> None:
        """SIGCONT to those whose time has come."""
        for slot in self.slots:
            if slot.process is not None and slot.stopped_until is not None and slot.stopped_until <= now:
                slot.process.send(signal.SIGCONT)
                slot.stopped_until = None

    def wind_down(self) -> None:
        """Ask all to stop, and wait for them."""
        self.wake(float("inf"))
        running = [(slot, slot.process) for slot in self.slots if slot.process is not None]
        for _, process in running:
            process.send(signal.SIGTERM)
        for slot, process in running:
            status = process.status(PATIENCE)
            if status not in (0, _NOT_READY_FOR_SIGTERM) and not slot.doomed:
                self.complaints.append(f"{slot.name} did not stop as asked ({status}): {_end(process)}")

    def clear_up(self) -> None:
        """Let one more worker per machine clear up after those that were killed; it works off the queue."""
        for number, machine in enumerate(self.machines):
            name = f"cleaner-{number}"
            with self._worker(name, machine, name, "--until-idle") as cleaner:
                if (status := cleaner.status(PATIENCE)) != 0:
                    self.complaints.append(f"{name} failed ({status}): {_end(cleaner)}")

        self.complaints += [
            f"left in a work folder of {machine.work.parent.name}: {name}"
            for machine in self.machines
            for name in machine.litter
        ]

    def _start(self, slot: Slot) -> None:
        slot.starts += 1
        slot.doomed, slot.stopped_until = False, None
        slot.process = self._worker(slot.name, slot.machine, f"{slot.name}.{slot.starts}")

    def _worker(self, name: str, machine: Machine, log: str, *more: str) -> WorkerProcess:
        flags, environment = self._ground.site.connection()
        pace = ("--fake-step-seconds", str(self._step_seconds))
        return WorkerProcess(
            self.logs / f"{log}.log",
            [
                *(*flags, *machine.flags(), "--worker", name, *QUICK, *_IDLE, *pace),
                *(*self._ground.lease_flags(), *more),
            ],
            environment,
            group=self._leash.group,
        )

    def _end_all(self) -> None:
        for slot in self.slots:
            if slot.process is not None:
                slot.process.__exit__()


def _end(process: WorkerProcess) -> str:
    return " | ".join(process.log.splitlines()[-5:])
