"""Processes that must not outlive this one, even when it is killed."""

from __future__ import annotations

import subprocess
from typing import Self


class Leash:
    """A process group. Whoever is in it is killed when the `with` block or this process ends."""

    def __enter__(self) -> Self:
        # The shell waits for the end of its standard input, a pipe that only this process holds open.
        self._shell = subprocess.Popen(
            ["sh", "-c", "cat >/dev/null; kill -KILL 0"], stdin=subprocess.PIPE, process_group=0
        )
        return self

    def __exit__(self, *_: object) -> None:
        if self._shell.stdin is not None:
            self._shell.stdin.close()
        self._shell.wait()

    @property
    def group(self) -> int:
        """Its number."""
        return self._shell.pid
