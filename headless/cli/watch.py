"""Follows a task to its end: one line that changes on a terminal, a line per change elsewhere."""

from __future__ import annotations

import sys
from typing import TextIO

from headless.cli.exit_codes import CANCELLED, DONE, FAILED
from headless.cli.status import find, progress_text
from headless.errors import QueueUnavailable
from headless.ports import Clock, Storage, TaskQueue
from headless.task import TaskStatus, TaskView

SECONDS_BETWEEN_LOOKS = 0.5


def watch(task_id: str, queue: TaskQueue, storage: Storage, clock: Clock, out: TextIO | None = None) -> int:
    """Wait until the task is final; print where its output is. 0 done, 1 failed, 130 cancelled.

    Ctrl-C stops the watching, not the task. What goes on is told on `out`, by default stderr.
    """
    out = out or sys.stderr
    shown = ""
    try:
        while True:
            view, line = _look(task_id, queue)
            if line != shown:
                _show(out, line, shown)
                shown = line
            if view is not None and view.status.final:
                break
            clock.sleep(SECONDS_BETWEEN_LOOKS)
    except KeyboardInterrupt:
        print(
            f"\nno longer watching; the task goes on. `python -m headless cancel {task_id}` stops it.",
            file=out,
        )
        return CANCELLED
    if out.isatty():
        print(file=out)
    return _end(view, storage, out)


def _look(task_id: str, queue: TaskQueue) -> tuple[TaskView | None, str]:
    """The task and the line about it; a queue that does not answer is no reason to stop watching."""
    try:
        view = find(queue, task_id)
    except QueueUnavailable as error:
        return None, f"{error.message}; still trying"
    return view, _line(view)


def _line(view: TaskView) -> str:
    if view.status is TaskStatus.IN_PROGRESS:
        return progress_text(view)
    if view.status is TaskStatus.QUEUED:
        place = f", place {view.queue_position}" if view.queue_position else ""
        why = f" ({view.error_message})" if view.error_message else ""
        return f"queued{place}{why}"
    return view.status.value.lower()


def _show(out: TextIO, line: str, before: str) -> None:
    if out.isatty():
        print(f"\r{line.ljust(len(before))}", end="", flush=True, file=out)
    else:
        print(line, flush=True, file=out)


def _end(view: TaskView, storage: Storage, out: TextIO) -> int:
    if view.status is TaskStatus.COMPLETE:
        print(storage.locate(view.output_location) if view.output_location else view.id)
        return DONE
    print(view.error_message or view.status.value, file=out)
    return CANCELLED if view.status is TaskStatus.CANCELLED else FAILED
