"""A signal to any rank is rank 0's to decide on."""

from __future__ import annotations

import os
import signal
import threading
from queue import SimpleQueue
from subprocess import Popen

import pytest

from headless.rank_signals import DRAIN, leaving_at_once, listen_to_ranks, signals_passed_on


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_of_this_rank_reaches_rank_0(number: signal.Signals) -> None:
    asked: SimpleQueue[None] = SimpleQueue()
    before = signal.getsignal(number)
    listen_to_ranks(lambda: asked.put(None))
    with signals_passed_on(os.getpid()):
        for _ in range(2):
            signal.raise_signal(number)
            asked.get(timeout=60)
        assert signal.getsignal(number) is not before
    assert signal.getsignal(number) is before


def test_who_waits_for_the_others_to_come_leaves_at_once() -> None:
    def handlers() -> list[object]:
        return [signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT)]

    before = handlers()
    with leaving_at_once():
        assert handlers() == [signal.SIG_DFL, signal.SIG_DFL]
    assert handlers() == before
    seen: list[list[object]] = []

    def elsewhere() -> None:
        with leaving_at_once():
            seen.append(handlers())

    thread = threading.Thread(target=elsewhere)
    thread.start()
    thread.join()
    assert seen == [before]


def test_other_signals_are_not_passed_on() -> None:
    asked: SimpleQueue[str] = SimpleQueue()
    listen_to_ranks(lambda: asked.put("asked"))
    before = signal.signal(signal.SIGUSR2, lambda *_: asked.put("own"))
    try:
        with signals_passed_on(os.getpid()):
            signal.raise_signal(signal.SIGUSR2)
            signal.raise_signal(signal.SIGTERM)
            assert [asked.get(timeout=60) for _ in range(2)] == ["own", "asked"]
    finally:
        signal.signal(signal.SIGUSR2, before)


def test_a_leader_that_has_gone_is_no_error() -> None:
    gone = Popen(["true"])
    gone.wait()
    with signals_passed_on(gone.pid):
        signal.raise_signal(signal.SIGTERM)


def test_rank_0_may_be_asked_any_number_of_times() -> None:
    asked: list[None] = []
    listen_to_ranks(lambda: asked.append(None))
    for _ in range(3):
        signal.raise_signal(DRAIN)
    assert len(asked) == 3
