"""The movie of a chain: clips are appended in their order, and what is there is shown, beside the engine."""

from __future__ import annotations

import contextvars
import threading
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from types import TracebackType

import structlog

from headless.errors import HeadlessError
from headless.media.movie import Movie
from headless.ports import Storage

log = structlog.get_logger(__name__)


SHOWN_EACH = 32
"""So many segments are shown one by one."""

GROWTH = 1.1
"""Later the movie is shown when it has this many times the frames that were shown before: all of the uploads
together are then at most eleven times the movie, however long it gets."""


class ShownMovie:
    """Uploads the movie as far as it is, under `prefix`. One upload at a time, the newest wins.

    Each of the first 32 segments, then every tenth of growth. A failed upload costs a log line, and a slow
    one delays nothing but the next.
    """

    def __init__(
        self, movie: Movie, storage: Storage, folder: Path, prefix: str, shown: Callable[[str], None]
    ) -> None:
        self._movie = movie
        self._storage = storage
        self._folder = folder
        self._prefix = prefix
        self._shown = shown
        self._pool = ThreadPoolExecutor(1, thread_name_prefix="movie-upload")
        self._changed = threading.Lock()
        self._newest: int | None = None
        self._busy = False
        self._offered = 0

    def offer(self, segments: int) -> None:
        """The movie has that many segments now."""
        frames = self._movie.frames
        if segments > SHOWN_EACH and frames < GROWTH * self._offered:
            return
        self._offered = frames
        with self._changed:
            self._newest = segments
            if self._busy:
                return
            self._busy = True
        context = contextvars.copy_context()
        self._pool.submit(context.run, self._upload_newest)

    def no_more(self) -> None:
        """Begin no further upload."""
        with self._changed:
            self._newest = None

    def close(self) -> None:
        """Wait for the upload that is under way."""
        self.no_more()
        self._pool.shutdown(wait=True)

    def _upload_newest(self) -> None:
        while True:
            with self._changed:
                segments, self._newest = self._newest, None
                if segments is None:
                    self._busy = False
                    return
            self._upload(segments)

    def _upload(self, segments: int) -> None:
        name = f"movie-{segments:04d}.mp4"
        path = self._folder / name
        try:
            self._movie.snapshot(path)
            self._storage.put(f"{self._prefix}/{name}", path, "video/mp4")
            self._shown(f"{self._prefix}/{name}")
        except (HeadlessError, OSError) as error:
            log.warning("the movie so far was not published", segments=segments, error=str(error))
        except Exception as error:
            log.error("the movie so far was not published", segments=segments, exc_info=error)
        finally:
            path.unlink(missing_ok=True)


class MovieLine:
    """Does what a finished clip still needs, one clip after another, in a thread of its own.

    What goes wrong there is raised by the next `check`, or by `finish`, and nothing is done after it: a movie
    has no gaps. Who leaves before `finish` drops what waits.
    """

    def __init__(self, shown: ShownMovie) -> None:
        self.shown = shown
        self._pool = ThreadPoolExecutor(1, thread_name_prefix="movie")
        self._pending: list[Future[None]] = []
        self._failed = False

    def __enter__(self) -> MovieLine:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._pool.shutdown(wait=True, cancel_futures=True)
        self.shown.close()

    def add(self, work: Callable[[], None]) -> None:
        """Have this done after everything before."""
        context = contextvars.copy_context()
        self._pending.append(self._pool.submit(context.run, self._do, work))

    def check(self) -> None:
        """Raise what went wrong, if something did."""
        while self._pending and self._pending[0].done():
            self._pending.pop(0).result()

    def _do(self, work: Callable[[], None]) -> None:
        if self._failed:
            return
        try:
            work()
        except BaseException:
            self._failed = True
            raise

    def finish(self) -> None:
        """Wait until everything is done."""
        self.shown.no_more()
        while self._pending:
            self._pending.pop(0).result()
