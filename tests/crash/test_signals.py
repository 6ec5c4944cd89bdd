"""A signal comes when it wants, also while the worker goes to rest."""

from __future__ import annotations

import sys
import threading
from types import FrameType
from typing import Any

import pytest

from headless.clock import SystemClock
from headless.shutdown import Shutdown


@pytest.mark.parametrize("moment", range(40))
def test_a_stop_at_any_moment_of_going_to_rest_is_heard(moment: int) -> None:
    shutdown = Shutdown(SystemClock(), grace=0)
    left = [moment]

    def interrupt(frame: FrameType, event: str, argument: Any) -> Any:
        left[0] -= 1
        if left[0] == 0:
            sys.settrace(None)
            shutdown.request()
            return None
        return interrupt

    def rest() -> None:
        sys.settrace(interrupt)
        try:
            shutdown.wait(0.01)
        finally:
            sys.settrace(None)

    resting = threading.Thread(target=rest, daemon=True)
    resting.start()
    resting.join(20)
    assert not resting.is_alive()
