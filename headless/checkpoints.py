"""Sampled latents kept in storage, so that a later attempt need not sample again."""

from __future__ import annotations

import contextvars
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor, wait
from pathlib import Path
from types import TracebackType

import structlog

from headless.errors import BadInput, HeadlessError, Unsafe
from headless.keys import segment_key
from headless.ports import Storage, TaskQueue
from headless.task import Claim

MAX_BYTES = 2_000_000_000
_NOT_FETCHED = "the checkpoint cannot be fetched; starting over"

log = structlog.get_logger(__name__)


class Checkpoints:
    """The checkpoints of one attempt. Recording goes on beside the work; a failure costs a log line."""

    def __init__(self, queue: TaskQueue, storage: Storage, claim: Claim, folder: Path) -> None:
        self._queue = queue
        self._storage = storage
        self._claim = claim
        self._folder = folder
        self._pool = ThreadPoolExecutor(1, thread_name_prefix="checkpoint")
        self._pending: list[Future[None]] = []
        self._looker = ThreadPoolExecutor(1, thread_name_prefix="look-ahead")
        self._ahead: dict[str, Future[Path | None]] = {}

    def __enter__(self) -> Checkpoints:
        self._pool.submit(lambda: None)  # The thread starts now, and not while the engine waits.
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._looker.shutdown(wait=True, cancel_futures=True)
        self._pool.shutdown(wait=True)

    def settle(self, seconds: float) -> None:
        """Wait until what was recorded is with storage and queue, but no longer than `seconds`."""
        wait(self._pending, timeout=max(0.0, seconds))

    def find(self, index: int | None, digest: str, *, shared: bool = False) -> Path | None:
        """The latents of segment `index`, if an earlier attempt with the same inputs left them.

        `shared`: or any task of the same owner. No `index`: only such.
        """
        ahead = self._ahead.pop(digest, None)
        return self._find(index, digest, shared) if ahead is None else ahead.result()

    def look_ahead(self, index: int | None, digest: str) -> None:
        """Begin to look for shared latents that `find` will soon be asked for, beside the engine."""
        context = contextvars.copy_context()
        self._ahead[digest] = self._looker.submit(context.run, self._find, index, digest, True)

    def _find(self, index: int | None, digest: str, shared: bool) -> Path | None:
        kept = next((c for c in self._claim.checkpoints if c.index == index), None)
        if kept is not None and kept.input_hash == digest:
            return self._fetch(index, digest, kept.object_key, expected=True)
        if kept is not None:
            log.info("the checkpoint has other inputs; starting over", segment=index)
        if not shared:
            return None
        return self._fetch(index, digest, segment_key(self._claim.owner, digest), expected=False)

    def record(
        self, index: int | None, digest: str, save: Callable[[Path], None], *, shared: bool = False
    ) -> None:
        """Save the latents and bring them to storage and queue, beside the work: `save` runs in another
        thread, once, before this attempt is left.

        `shared`: where other tasks of the owner find them. No `index`: the queue need not know.
        """
        context = contextvars.copy_context()
        self._pending.append(
            self._pool.submit(context.run, self._publish, index, digest, save, shared=shared)
        )

    def _fetch(self, index: int | None, digest: str, key: str, *, expected: bool) -> Path | None:
        path = self._folder / f"resumed-{digest[:12]}.safetensors"
        try:
            self._storage.fetch(key, path, MAX_BYTES)
        except BadInput as error:
            if expected:
                log.warning(_NOT_FETCHED, segment=index, error=error.message)
            return None
        except HeadlessError as error:
            log.warning(_NOT_FETCHED, segment=index, error=error.message)
            return None
        log.info("resuming after the sampling", segment=index)
        return path

    def _publish(self, index: int | None, digest: str, save: Callable[[Path], None], *, shared: bool) -> None:
        claim = self._claim
        place = "" if index is None else f"{index}-"
        path = self._folder / f"checkpoint-{place}{digest[:12]}.safetensors"
        try:
            save(path)
            key = self._put(path, segment_key(claim.owner, digest) if shared else None)
            if index is not None:
                self._queue.checkpoint(claim.task_id, claim.attempt, index, digest, key)
        except (HeadlessError, OSError) as error:
            log.warning("checkpoint not kept", segment=index, error=str(error))
        except Exception as error:
            log.error("checkpoint not kept", segment=index, exc_info=error)
        finally:
            path.unlink(missing_ok=True)

    def _put(self, path: Path, shared: str | None) -> str:
        """Where the latents lie now. Another device's may lie where others would find ours: they stay."""
        own = f"{self._claim.output_prefix}/{path.name}"
        for key in (own,) if shared is None else (shared, own):
            try:
                self._storage.put(key, path, "application/octet-stream")
            except Unsafe:
                if key == own:
                    raise
            else:
                return key
        return own
