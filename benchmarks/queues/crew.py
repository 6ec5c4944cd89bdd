"""Worker processes under a supervisor that starts a new one where one has ended."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Self, TypeVar

from benchmarks.queues.journal import READY, Entry, Journal
from benchmarks.queues.rig import ROOT
from benchmarks.queues.worker import Settings

RESTART_SECONDS = 1.0
STARTING_SECONDS = 60.0
PAUSE = 0.005

Found = TypeVar("Found")


class Crew:
    """`size` workers, ready when the block begins and killed when it ends."""

    def __init__(self, settings: Settings, size: int) -> None:
        self.journal = Journal(settings.journal)
        self._settings = settings.folder / "crew.json"
        settings.write(self._settings)
        self._log = settings.folder / "crew.log"
        self._size = size
        self._workers: list[subprocess.Popen[bytes]] = []
        self._ended_at: dict[int, float] = {}

    def __enter__(self) -> Self:
        self._workers = [self._start(number) for number in range(self._size)]
        self.await_ready()
        return self

    def __exit__(self, *_: object) -> None:
        for worker in self._workers:
            worker.kill()
            worker.wait()

    def await_ready(self) -> None:
        """Wait until every worker waits for tasks."""
        if self.wait(self._all_ready, STARTING_SECONDS) is None:
            raise RuntimeError(f"workers do not start: {self._log.read_text(errors='replace')[-3000:]}")

    def wait(self, look: Callable[[], Found | None], seconds: float) -> Found | None:
        """Supervise until `look` sees something, for so long at most."""
        until = time.monotonic() + seconds
        while time.monotonic() < until:
            found = look()
            if found:
                return found
            self._tend()
            time.sleep(PAUSE)
        return None

    def _all_ready(self) -> list[Entry] | None:
        ready = self.journal.entries(READY)
        pids = {one.pid for one in ready}
        alive = [worker for worker in self._workers if worker.poll() is None and worker.pid in pids]
        return ready if len(alive) == self._size else None

    def _tend(self) -> None:
        for number, worker in enumerate(self._workers):
            if worker.poll() is None:
                continue
            ended = self._ended_at.setdefault(worker.pid, time.monotonic())
            if time.monotonic() - ended >= RESTART_SECONDS:
                self._workers[number] = self._start(number)

    def _start(self, number: int) -> subprocess.Popen[bytes]:
        command = [sys.executable, "-m", "benchmarks.queues.worker", str(self._settings), f"worker-{number}"]
        with Path(self._log).open("ab") as log:
            return subprocess.Popen(command, cwd=ROOT, stdout=log, stderr=log)
