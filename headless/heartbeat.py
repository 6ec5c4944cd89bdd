"""A file that is touched while the worker is alive, for whoever watches it from outside."""

from __future__ import annotations

from pathlib import Path

import structlog

log = structlog.get_logger(__name__)


class Heartbeat:
    """`beat()` touches the file. A file that cannot be touched costs one line in the log, not a task."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._failing = False

    def beat(self) -> None:
        """Show a sign of life."""
        try:
            self._path.touch()
        except OSError as error:
            if not self._failing:
                log.error("the health file cannot be touched", file=str(self._path), why=error.strerror)
            self._failing = True
        else:
            self._failing = False
