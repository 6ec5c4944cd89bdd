"""The only way in which these tests wait for what another process does."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable

PATIENCE = 60.0
"""Seconds after which a test gives up; generous, because a good run never waits for it."""


def until(condition: Callable[[], bool], what: Callable[[], str], patience: float = PATIENCE) -> None:
    """Look until the condition holds; `what()` says what was awaited when it never does."""
    pause, deadline = threading.Event(), time.monotonic() + patience
    while not condition():
        if time.monotonic() > deadline:
            raise AssertionError(f"waited in vain: {what()}")
        pause.wait(0.01)
