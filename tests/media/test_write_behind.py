"""Frames go to another thread, in order, and nothing about them is lost."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from concurrent.futures import Executor

import numpy as np
import pytest

from headless.media.write_behind import WriteBehind, started_thread
from headless.segment import Picture


class Written:
    """Numbers of the frames that were taken, and by whom."""

    def __init__(self, fail_at: int = -1) -> None:
        self.numbers: list[int] = []
        self.threads: list[str] = []
        self._fail_at = fail_at

    def take(self, frame: Picture) -> None:
        number = int(frame[0, 0, 0])
        if number == self._fail_at:
            raise OSError(f"no room for frame {number}")
        self.numbers.append(number)
        self.threads.append(threading.current_thread().name)


def _frames(count: int) -> Iterator[Picture]:
    return (np.full((2, 2, 3), number, np.uint8) for number in range(count))


def test_every_frame_arrives_in_order_before_the_block_is_left() -> None:
    written = Written()
    with WriteBehind(written.take) as behind:
        for frame in _frames(40):
            behind.write(frame)
    assert written.numbers == list(range(40))
    assert threading.current_thread().name not in written.threads


def test_the_last_of_a_known_number_is_taken_here_and_after_the_others() -> None:
    written = Written()
    with WriteBehind(written.take, 5) as behind:
        for frame in _frames(5):
            behind.write(frame)
        assert written.numbers == [0, 1, 2, 3, 4]
    assert written.threads[-1] == threading.current_thread().name
    assert threading.current_thread().name not in written.threads[:-1]


def test_other_work_is_done_in_its_turn() -> None:
    written = Written()
    with WriteBehind(written.take) as behind:
        behind.call(lambda: written.numbers.append(100))
        for frame in _frames(2):
            behind.write(frame)
    assert written.numbers == [100, 0, 1]


@pytest.mark.parametrize("fail_at", [0, 20, 39])
def test_an_error_is_raised_at_the_latest_at_the_end_and_the_rest_is_dropped(fail_at: int) -> None:
    written = Written(fail_at)

    def write_all() -> None:
        with WriteBehind(written.take) as behind:
            for frame in _frames(40):
                behind.write(frame)

    with pytest.raises(OSError, match=f"no room for frame {fail_at}"):
        write_all()
    assert fail_at not in written.numbers


def test_a_block_that_fails_drops_what_waits_and_leaves_the_thread_usable() -> None:
    written = Written()

    def fail(thread: Executor) -> None:
        with WriteBehind(written.take, thread=thread) as behind:
            behind.call(lambda: _until_the_last_is_dropped(behind))
            for frame in _frames(10):
                behind.write(frame)
            raise RuntimeError("stop")

    with started_thread("shared") as thread:
        with pytest.raises(RuntimeError, match="stop"):
            fail(thread)
        assert written.numbers == []
        with WriteBehind(written.take, thread=thread) as behind:
            behind.write(np.full((2, 2, 3), 77, np.uint8))
        assert written.numbers == [77]


def _until_the_last_is_dropped(behind: WriteBehind) -> None:
    patience = 6000
    while not behind._waiting[-1].cancelled() and patience:
        threading.Event().wait(0.01)
        patience -= 1
