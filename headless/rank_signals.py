"""Signals among the ranks of one worker: rank 0 alone decides when to stop."""

from __future__ import annotations

import os
import signal
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Final

import structlog

DRAIN: Final = signal.SIGUSR1
"""What other ranks send to rank 0 for every signal of theirs. Unlike SIGTERM it may come any number of times:
torchrun sends SIGTERM to all ranks at once, and a second one would mean to leave at once."""
_STOPS: Final = (signal.SIGTERM, signal.SIGINT)

log = structlog.get_logger(__name__)


def listen_to_ranks(request: Callable[[], None]) -> None:
    """Call `request` whenever another rank was asked to stop. For rank 0's main thread."""
    signal.signal(DRAIN, lambda *_: request())


@contextmanager
def leaving_at_once() -> Iterator[None]:
    """SIGTERM and SIGINT end this process, if it is its main thread that waits: it has begun nothing yet, and
    handlers written in Python would not run before the wait is over."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = {number: signal.signal(number, signal.SIG_DFL) for number in _STOPS}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


@contextmanager
def signals_passed_on(leader: int) -> Iterator[None]:
    """SIGTERM and SIGINT of this process become `DRAIN` for rank 0's; this process goes on until let go.

    For the main thread. It may be waiting for other ranks in native code, where no handler written in Python
    runs; so the numbers of the signals are written to a socket, which a thread reads.
    """
    reader, writer = socket.socketpair()
    writer.setblocking(False)
    before = {number: signal.signal(number, lambda *_: None) for number in _STOPS}
    woken = signal.set_wakeup_fd(writer.fileno(), warn_on_full_buffer=False)
    thread = threading.Thread(target=_pass_on, args=(reader, leader), name="signals", daemon=True)
    thread.start()
    try:
        yield
    finally:
        signal.set_wakeup_fd(woken)
        for number, handler in before.items():
            signal.signal(number, handler)
        writer.close()
        thread.join()
        reader.close()


def _pass_on(reader: socket.socket, leader: int) -> None:
    while number := reader.recv(1):
        if number[0] not in _STOPS:
            continue
        log.info("asked to stop; telling rank 0", signal=signal.Signals(number[0]).name)
        try:
            os.kill(leader, DRAIN)
        except ProcessLookupError:
            log.warning("rank 0 has gone already")
