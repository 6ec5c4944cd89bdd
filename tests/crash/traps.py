"""Points of a task's way at which a worker may be hit by a signal, wrapped around the product's own calls."""

from __future__ import annotations

import contextlib
import functools
import os
import shutil
import signal
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any, NamedTuple, Self

import headless.outbox
from headless.adapters.sqlite_file import SqliteFile
from headless.inputs import InputFetcher
from headless.job_listener import JobListener
from headless.media.video_writer import VideoWriter
from headless.outbox import Outbox
from headless.publish import Publisher
from headless.runner import TaskRunner
from headless.shutdown import Shutdown
from headless.task import Progress

PATIENCE = 30.0
NOTHING_HAPPENED = 99
"""Exit status when what a trap waits for never comes."""

Point = Callable[..., str | None]
"""The name of the point that a call with these arguments passes, if it is one."""


class Trap(NamedTuple):
    """What happens at a point: wait for others, then these signals."""

    others: list[str]
    signals: list[signal.Signals]


class Traps:
    """`point=SIGNAL` strikes when the point is passed first, `point*3=SIGNAL` the third time.

    The signal goes to this very process, SIGSTOP to the thread that passes: it does not go one step further.
    After a SIGTERM it goes on only when the worker has heard it. `SIGTERM+SIGTERM` sends a second one then.
    `point>other&another=SIGNAL` waits there until those were passed too. SIGSTOP waits until no thread is
    inside a transaction of a local queue, which would lock out others.
    """

    def __init__(self, traps: dict[tuple[str, int], Trap]) -> None:
        self._traps = traps
        self._passed: Counter[str] = Counter()
        self._changed = threading.Condition()
        self._shutdowns: list[Shutdown] = []
        self._tasks: list[str] = []
        self._files: list[SqliteFile] = []

    @classmethod
    def read(cls, texts: Iterable[str]) -> Self:
        """From the command line."""
        traps = {}
        for text in texts:
            point, _, signals = text.rpartition("=")
            point, _, others = point.partition(">")
            name, _, count = point.partition("*")
            awaited = others.split("&") if others else []
            traps[name, int(count or 1)] = Trap(awaited, [signal.Signals[one] for one in signals.split("+")])
        return cls(traps)

    def passed(self, point: str | None) -> None:
        """Strike if a trap lies here."""
        if point is None:
            return
        with self._changed:
            self._passed[point] += 1
            self._changed.notify_all()
            trap = self._traps.get((point, self._passed[point]))
            if trap is None:
                return
            if not self._changed.wait_for(lambda: all(self._passed[one] for one in trap.others), PATIENCE):
                os._exit(NOTHING_HAPPENED)
        for number in trap.signals:
            with contextlib.ExitStack() as still:
                for file in self._files if number is signal.SIGSTOP else ():
                    still.enter_context(file._lock)
                if number is signal.SIGSTOP:
                    signal.pthread_kill(threading.get_ident(), number)
                else:
                    os.kill(os.getpid(), number)
            if number is signal.SIGTERM:
                self._await_shutdown()

    def before(self, owner: Any, name: str, point: Point) -> None:
        """Lay traps before the calls of a function."""
        inner = getattr(owner, name)

        @functools.wraps(inner)
        def call(*args: Any, **named: Any) -> Any:
            self.passed(point(*args, **named))
            return inner(*args, **named)

        setattr(owner, name, call)

    def after(self, owner: Any, name: str, point: Point) -> None:
        """Lay traps after the calls of a function that answered."""
        inner = getattr(owner, name)

        @functools.wraps(inner)
        def call(*args: Any, **named: Any) -> Any:
            answer = inner(*args, **named)
            self.passed(point(*args, **named))
            return answer

        setattr(owner, name, call)

    def renewed(self, _: object, task_id: str, attempt: int, progress: Progress) -> str:
        """`told:waiting:2`, `told:decoding:2`: the queue was told so of this worker's second task."""
        if task_id not in self._tasks:
            self._tasks.append(task_id)
        order = self._tasks.index(task_id) + 1
        return f"told:waiting:{order}" if progress.waiting else f"told:{progress.phase}:{order}"

    def know(self, one: Shutdown | SqliteFile, *_: object) -> None:
        """Remember what hears the signals, and what holds transactions."""
        if isinstance(one, Shutdown):
            self._shutdowns.append(one)
        else:
            self._files.append(one)

    def _await_shutdown(self) -> None:
        deadline = time.monotonic() + PATIENCE
        while not any(shutdown.requested for shutdown in self._shutdowns):
            if time.monotonic() > deadline:
                os._exit(NOTHING_HAPPENED)
            time.sleep(0.001)


def lay(traps: Traps, queue: type, storage: type) -> None:
    """Wrap everything that a task passes on its way. `queue`, `storage`: the adapters in use."""
    traps.after(Shutdown, "install", traps.know)
    traps.after(SqliteFile, "__init__", traps.know)
    traps.before(TaskRunner, "prepare", lambda *_: "claimed")
    traps.after(InputFetcher, "file", lambda *_: "fetched")
    traps.after(TaskRunner, "prepare", lambda *_: "prepared")
    traps.after(queue, "renew", traps.renewed)
    traps.before(JobListener, "on_phase", lambda _, phase: f"phase:{phase}")
    traps.before(JobListener, "on_step", lambda _, step, *__: f"step:{step}")
    traps.before(JobListener, "on_share", lambda listener, done, _: f"{listener._phase}:{done}")
    traps.after(queue, "checkpoint", lambda *_: "checkpointed")
    traps.after(VideoWriter, "write", lambda *_: "frame")
    traps.before(headless.outbox, "_sync_file", lambda *_: "posting")
    traps.after(Outbox, "post", lambda *_: "posted")
    traps.before(storage, "put", lambda _, key, *__: f"storing:{Path(key).name}")
    traps.after(storage, "put", lambda _, key, *__: f"stored:{Path(key).name}")
    traps.before(queue, "complete", lambda *_: "completing")
    traps.after(queue, "complete", lambda *_: "completed")
    traps.before(Publisher, "keep_copies", lambda *_: "copying")
    traps.after(shutil, "copyfile", lambda *_: "copied")
    traps.before(shutil, "rmtree", _removing)


def _removing(path: Path, **_: Any) -> str | None:
    """Half of the folder is gone already when the signal comes."""
    if path.parent.name not in ("jobs", "outbox"):
        return None
    for file in sorted(path.iterdir())[1::2]:
        if file.is_file():
            file.unlink()
    return f"removing:{path.parent.name}"
