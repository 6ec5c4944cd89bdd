"""Workers of several ranks as people start them: under torchrun, and its processes one by one."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, Self

import torch.distributed as dist

from tests.crash.polling import until
from tests.engine.conftest import ROOT

OURS = ("HEADLESS_", "SUPABASE_")
TORCHRUN = (
    *("-m", "torch.distributed.run", "--standalone"),
    *("--nproc_per_node", "2", "--shutdown-timeout", "10"),
)
PATIENCE = 240.0
"""Seconds after which a test gives up. Three processes that import torch at once take a minute on a machine
that has much else to do; a good run never waits for this."""


class Process:
    """A program of the checkout, gone at the end of the `with` block with what it started."""

    def __init__(
        self, log: Path, arguments: Sequence[str], environment: Mapping[str, str] | None = None
    ) -> None:
        kept = {name: value for name, value in os.environ.items() if not name.startswith(OURS)}
        self._log = log
        with log.open("wb") as file:
            self._process = subprocess.Popen(
                [sys.executable, *arguments],
                cwd=ROOT,
                env=kept | {"OMP_NUM_THREADS": "1"} | dict(environment or {}),
                stdin=subprocess.DEVNULL,
                stdout=file,
                stderr=file,
            )

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        ranks = [rank for line in self.lines("ranks joined") for rank in line["processes"]]
        if self._process.poll() is None:
            for process in (self._process.pid, *ranks):
                with suppress(ProcessLookupError):
                    os.kill(process, signal.SIGKILL)
            self._process.wait()

    @property
    def log(self) -> str:
        """What it has said so far."""
        return self._log.read_text(encoding="utf-8", errors="replace")

    def lines(self, event: str) -> list[dict[str, Any]]:
        """Lines of the log that tell of an event."""
        found = []
        for line in self.log.splitlines():
            with suppress(json.JSONDecodeError):
                entry = json.loads(line)
                if isinstance(entry, dict) and entry.get("event") == event:
                    found.append(entry)
        return found

    def send(self, number: signal.Signals) -> None:
        """Send a signal to the program itself."""
        self._process.send_signal(number)

    def wait_for(self, event: str) -> dict[str, Any]:
        """Wait until the log tells of an event."""
        until(
            lambda: bool(self.lines(event)) or self._process.poll() is not None,
            lambda: f"{event!r} in the log:\n{self.log}",
            PATIENCE,
        )
        assert self.lines(event), self.log
        return self.lines(event)[0]

    def wait(self) -> int:
        """Wait for the end; the exit status, negative for a signal."""
        try:
            return self._process.wait(PATIENCE)
        except subprocess.TimeoutExpired as error:
            raise AssertionError(f"it goes on and on:\n{self.log}") from error


class Agent:
    """What torchrun gives its processes: a store in which they meet, and variables."""

    def __init__(self) -> None:
        self._store: Any = dist.TCPStore("127.0.0.1", 0, is_master=True, wait_for_workers=False)  # type: ignore[attr-defined]  # not in the stub

    def environment(self, rank: int, size: int) -> dict[str, str]:
        """The variables of a rank."""
        return {
            "RANK": str(rank),
            "WORLD_SIZE": str(size),
            "LOCAL_RANK": str(rank),
            "LOCAL_WORLD_SIZE": str(size),
            "MASTER_ADDR": "127.0.0.1",
            "MASTER_PORT": str(self._store.port),
            "TORCHELASTIC_USE_AGENT_STORE": "True",
        }
