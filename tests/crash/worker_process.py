"""A worker in a process of its own, which may be stopped, continued and killed."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Self

from tests.crash.polling import PATIENCE, until

ROOT = Path(__file__).resolve().parents[2]
OURS = ("HEADLESS_", "SUPABASE_")


class WorkerProcess:
    """worker.py with these flags, gone at the end of the `with` block. With traps it runs into them.

    `group`: the process group that it joins; without one, that of the tests.
    """

    def __init__(
        self,
        log: Path,
        flags: Sequence[str],
        environment: Mapping[str, str],
        traps: Sequence[str] = (),
        group: int | None = None,
    ) -> None:
        program = ["-m", "tests.crash.trapped_worker", *traps, "--"] if traps else ["worker.py"]
        kept = {name: value for name, value in os.environ.items() if not name.startswith(OURS)}
        self._log = log
        with log.open("ab") as file:
            self._process = subprocess.Popen(
                [sys.executable, *program, *flags],
                cwd=ROOT,
                env=kept | {"OMP_NUM_THREADS": "1"} | dict(environment),
                stdin=subprocess.DEVNULL,
                stdout=file,
                stderr=file,
                process_group=group,
            )

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._process.kill()
        self._process.wait()

    @property
    def log(self) -> str:
        """What it has said so far."""
        return self._log.read_text(encoding="utf-8", errors="replace")

    def send(self, number: signal.Signals) -> None:
        """Send a signal."""
        self._process.send_signal(number)

    def status(self, patience: float = 0.0) -> int | None:
        """The exit status, negative for a signal; `None` if it still runs after `patience` seconds."""
        try:
            return self._process.wait(patience)
        except subprocess.TimeoutExpired:
            return None

    def wait(self) -> int:
        """Wait for the end; the exit status, negative for a signal."""
        try:
            return self._process.wait(PATIENCE)
        except subprocess.TimeoutExpired as error:
            raise AssertionError(f"the worker goes on and on:\n{self.log}") from error

    def wait_killed(self) -> None:
        """Wait until SIGKILL has ended it."""
        assert self.wait() == -signal.SIGKILL, self.log

    def wait_stopped(self) -> None:
        """Wait until SIGSTOP has stopped it."""
        flags = os.WSTOPPED | os.WEXITED | os.WNOWAIT | os.WNOHANG
        until(
            lambda: os.waitid(os.P_PID, self._process.pid, flags) is not None,
            lambda: f"the worker should stop:\n{self.log}",
        )
        state = os.waitid(os.P_PID, self._process.pid, flags)
        assert state is not None
        assert state.si_code == os.CLD_STOPPED, self.log

    def wait_for(self, words: str) -> None:
        """Wait until the log holds these words."""
        until(lambda: words in self.log, lambda: f"{words!r} in the log:\n{self.log}")
