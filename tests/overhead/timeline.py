"""What happened, in order, and waiting for it: no clock is involved."""

from __future__ import annotations

import threading

PATIENCE = 60.0


class Timeline:
    """Marks set by several threads. After one that never came nobody is kept waiting any more."""

    def __init__(self) -> None:
        self.marks: list[str] = []
        self.missed: list[str] = []
        self._changed = threading.Condition()

    def mark(self, name: str) -> None:
        """It has happened."""
        with self._changed:
            self.marks.append(name)
            self._changed.notify_all()

    def wait_for(self, name: str, times: int = 1) -> None:
        """Wait until it has happened so often; noted in `missed` if it does not."""
        with self._changed:
            if self.missed or not self._changed.wait_for(lambda: self.marks.count(name) >= times, PATIENCE):
                self.missed.append(name)
