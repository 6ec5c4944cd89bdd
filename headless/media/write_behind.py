"""Frames are encoded beside the thread that makes them."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from types import TracebackType

from headless.segment import Picture

AHEAD = 16
"""Frames that may wait for the encoder before their maker waits too: 43 MB at 1280x720."""


class WriteBehind:
    """`with WriteBehind(video.write) as frames:` hands frames to another thread, in order.

    An error of the encoder is raised by a later `write` or at the end of the block, which waits for the last
    frame. A block that fails drops the frames that wait.
    """

    def __init__(self, write: Callable[[Picture], None]) -> None:
        self._write = write
        self._pool = ThreadPoolExecutor(1, thread_name_prefix="encode")
        self._waiting: deque[Future[None]] = deque()

    def __enter__(self) -> WriteBehind:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._pool.shutdown(wait=True, cancel_futures=error is not None)
        if error is None:
            self._await(0)

    def write(self, frame: Picture) -> None:
        """Append one frame, which must not change any more."""
        self._waiting.append(self._pool.submit(self._write, frame))
        self._await(AHEAD)

    def _await(self, at_most: int) -> None:
        while self._waiting and (len(self._waiting) > at_most or self._waiting[0].done()):
            self._waiting.popleft().result()
