"""What workers in several processes do to which task, and when: lines in one file."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path

READY, BEGIN, END = "ready", "begin", "end"


@dataclass(frozen=True)
class Entry:
    """`what` happened to the task `label` in the process `pid`, at `at` seconds since 1970.

    `seconds`, at the end of a task: for how long the engine had worked on it in this attempt.
    """

    what: str
    label: str
    pid: int
    at: float
    seconds: float = 0.0


class Journal:
    """A file that many processes append to. A line is there whole, or not at all."""

    def __init__(self, path: Path) -> None:
        self._path = path
        path.touch()

    def note(self, what: str, label: str = "", seconds: float = 0.0) -> None:
        """Append an entry of this process, now."""
        entry = Entry(what, label, os.getpid(), time.time(), seconds)
        handle = os.open(self._path, os.O_WRONLY | os.O_APPEND)
        try:
            os.write(handle, f"{json.dumps(asdict(entry))}\n".encode())
        finally:
            os.close(handle)

    def entries(self, what: str, label: str | None = None) -> list[Entry]:
        """All of a kind, of one task or of all, oldest first."""
        lines = self._path.read_text(encoding="utf-8").splitlines()
        found = [Entry(**json.loads(line)) for line in lines]
        return [one for one in found if one.what == what and label in (None, one.label)]

    def first(self, what: str, seen: Callable[[Entry], bool]) -> Entry | None:
        """The oldest of a kind that looks so."""
        return next((one for one in self.entries(what) if seen(one)), None)
