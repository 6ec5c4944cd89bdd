"""Preview pictures while a task is denoised: small, few, and never in the way of the engine."""

from __future__ import annotations

import contextvars
import threading
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from types import TracebackType

import structlog

from headless.errors import HeadlessError
from headless.media.stills import write_preview
from headless.ports import Clock, Storage
from headless.segment import Picture

SECONDS_BETWEEN_PREVIEWS = 2.0

log = structlog.get_logger(__name__)


class Previews:
    """Uploads at most one preview at a time, at most every 2 s; a failed upload costs a log line."""

    def __init__(
        self, storage: Storage, clock: Clock, folder: Path, prefix: str, shown: Callable[[str], None]
    ) -> None:
        self._storage = storage
        self._clock = clock
        self._folder = folder
        self._prefix = prefix
        self._shown = shown
        self._pool = ThreadPoolExecutor(1, thread_name_prefix="preview")
        self._pending: Future[None] | None = None
        self._next_at = float("-inf")
        self._step = 0
        self._again = ""
        self._closed = threading.Event()
        self._retired = False

    def __enter__(self) -> Previews:
        self._pool.submit(lambda: None)  # The thread starts now, and not while the engine waits.
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._closed.set()
        self._pool.shutdown(wait=True, cancel_futures=True)

    def retire(self) -> None:
        """Take no further preview: there is something better to show."""
        self._retired = True

    def offer(self, step: int, picture: Callable[[], Picture]) -> None:
        """Take a preview of step `step` if one is due; `picture()` is called only then.

        Steps that begin anew are those of a second try, whose previews have names of their own.
        """
        if step <= self._step:
            self._again = "again-"
        self._step = step
        now = self._clock.monotonic()
        if self._retired or now < self._next_at or (self._pending is not None and not self._pending.done()):
            return
        self._next_at = now + SECONDS_BETWEEN_PREVIEWS
        context = contextvars.copy_context()
        self._pending = self._pool.submit(context.run, self._publish, f"{self._again}{step:04d}", picture())

    def _publish(self, step: str, picture: Picture) -> None:
        key = f"{self._prefix}/preview-{step}.webp"
        path = self._folder / f"preview-{step}.webp"
        try:
            write_preview(picture, path)
            self._storage.put(key, path, "image/webp")
        except (HeadlessError, OSError) as error:
            log.warning("preview not published", step=step, error=str(error))
            return
        except Exception as error:
            log.error("preview not published", step=step, exc_info=error)
            return
        finally:
            path.unlink(missing_ok=True)
        if not self._closed.is_set() and not self._retired:
            self._shown(key)
