"""The worker and the command line as processes of their own, as people start them."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import IO, Any, Self

ROOT = Path(__file__).resolve().parents[2]
PATIENCE = 60.0


def environment(extra: Mapping[str, str] | None = None) -> dict[str, str]:
    """This process's environment without anything that is a setting of the product."""
    ours = ("HEADLESS_", "SUPABASE_")
    kept = {name: value for name, value in os.environ.items() if not name.startswith(ours)}
    return kept | {"OMP_NUM_THREADS": "1", "PYTHONUNBUFFERED": "1"} | dict(extra or {})


def run(
    program: Sequence[str], arguments: Sequence[str], extra: Mapping[str, str] | None = None
) -> subprocess.CompletedProcess[str]:
    """Run a program of the checkout to its end."""
    return subprocess.run(
        [sys.executable, *program, *arguments],
        cwd=ROOT,
        env=environment(extra),
        capture_output=True,
        text=True,
        timeout=PATIENCE,
        check=False,
    )


def run_worker(*arguments: str, env: Mapping[str, str] | None = None) -> subprocess.CompletedProcess[str]:
    """`python worker.py ...` to its end."""
    return run(["worker.py"], arguments, env)


def headless(*arguments: str, env: Mapping[str, str] | None = None) -> subprocess.CompletedProcess[str]:
    """`python -m headless ...` to its end."""
    return run(["-m", "headless"], arguments, env)


def log_lines(text: str) -> list[dict[str, Any]]:
    """JSON logs, line by line; every line must be one object."""
    return [json.loads(line) for line in text.splitlines()]


class Child:
    """A worker that runs beside the test, inside a `with` block; its log is read while it runs."""

    def __init__(self, *arguments: str, env: Mapping[str, str] | None = None) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "worker.py", *arguments],
            cwd=ROOT,
            env=environment(env),
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
        )
        self._lines: list[str] = []
        self._changed = threading.Condition()
        self._ended = False
        self._reader = threading.Thread(target=self._read, args=(self._process.stderr,))
        self._reader.start()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._process.kill()
        self._process.wait()
        self._reader.join()

    @property
    def log(self) -> str:
        """Everything that the worker wrote so far."""
        with self._changed:
            return "".join(self._lines)

    def wait_for(self, words: str) -> None:
        """Wait until a line of the log holds these words."""
        self._wait(lambda: any(words in line for line in self._lines), words)

    def send(self, number: signal.Signals) -> None:
        """Send a signal."""
        self._process.send_signal(number)

    def wait(self) -> int:
        """Wait for the end of the process; its exit status, negative for a signal."""
        status = self._process.wait(PATIENCE)
        self._reader.join()
        return status

    def _wait(self, done: Callable[[], bool], what: str) -> None:
        with self._changed:
            if not self._changed.wait_for(lambda: done() or self._ended, PATIENCE) or not done():
                raise AssertionError(f"no {what!r} in:\n{''.join(self._lines)}")

    def _read(self, stream: IO[str] | None) -> None:
        assert stream is not None
        with stream:
            for line in stream:
                with self._changed:
                    self._lines.append(line)
                    self._changed.notify_all()
        with self._changed:
            self._ended = True
            self._changed.notify_all()
