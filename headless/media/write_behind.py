"""Frames are encoded beside the thread that makes them."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import Executor, Future, ThreadPoolExecutor, wait
from contextlib import ExitStack, contextmanager
from types import TracebackType

from headless.segment import Picture

AHEAD = 16
"""Frames that may wait for the encoder before their maker waits too: 43 MB at 1280x720."""


@contextmanager
def started_thread(name: str) -> Iterator[Executor]:
    """One thread that runs already: to start one takes long enough for a GPU to idle meanwhile."""
    with ThreadPoolExecutor(1, thread_name_prefix=name) as pool:
        pool.submit(lambda: None).result()
        yield pool


class WriteBehind:
    """`with WriteBehind(video.write) as frames:` hands frames to another thread, in order.

    An error of the encoder is raised by a later `write` or at the end of the block, which waits for the last
    frame. A block that fails drops the frames that wait. Where it is known how many `frames` there will be,
    the last of them is taken in the caller's thread, which would have to wait for it anyway: that is sooner.
    `thread` is one of the caller's; without it there is a new one.
    """

    def __init__(
        self, write: Callable[[Picture], None], frames: int | None = None, thread: Executor | None = None
    ) -> None:
        self._write = write
        self._left = frames
        self._open = ExitStack()
        self._thread = thread or self._open.enter_context(ThreadPoolExecutor(1, thread_name_prefix="encode"))
        self._waiting: deque[Future[None]] = deque()

    def __enter__(self) -> WriteBehind:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        with self._open:
            try:
                if error is None:
                    self._await(0)
            finally:
                self._drop()

    def write(self, frame: Picture) -> None:
        """Append one frame, which must not change any more."""
        if self._left is not None:
            self._left -= 1
        if self._left == 0:
            self._await(0)
            self._write(frame)
        else:
            self.call(lambda: self._write(frame))
            self._await(AHEAD)

    def call(self, work: Callable[[], None]) -> None:
        """Have something else done in its turn, as if it were a frame."""
        self._waiting.append(self._thread.submit(work))

    def _await(self, at_most: int) -> None:
        while self._waiting and (len(self._waiting) > at_most or self._waiting[0].done()):
            self._waiting.popleft().result()

    def _drop(self) -> None:
        for future in self._waiting:
            future.cancel()
        wait(self._waiting)
