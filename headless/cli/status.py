"""`status`: one task."""

from __future__ import annotations

import argparse
import dataclasses
import json
from collections.abc import Mapping
from typing import Any

from headless.cli.command import Commands, add_command
from headless.cli.connected import connected
from headless.cli.exit_codes import DONE
from headless.errors import UsageError
from headless.ports import Storage, TaskQueue
from headless.settings import add_connection_options
from headless.task import TaskStatus, TaskView


def add(commands: Commands, environ: Mapping[str, str]) -> None:
    """Add the command."""
    parser = add_command(
        commands,
        "status",
        "show one task",
        "Shows how far a task is, where its video is, or why it failed.",
        "  python -m headless status --local queue TASK\n"
        "  python -m headless status --supabase-url https://PROJECT.supabase.co TASK --json\n",
    )
    add_connection_options(parser, environ)
    parser.add_argument("task", metavar="TASK", help="the task's id")
    parser.add_argument("--json", action="store_true", help="print the whole row as JSON")
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace, environ: Mapping[str, str]) -> int:
    """Print the task; 0 whatever its status."""
    with connected(arguments, environ) as (queue, storage):
        view = find(queue, arguments.task)
        print(
            json.dumps(row(view, storage), indent=2, ensure_ascii=False)
            if arguments.json
            else text(view, storage)
        )
    return DONE


def find(queue: TaskQueue, task_id: str) -> TaskView:
    """The task, or `UsageError`."""
    view = queue.get(task_id)
    if view is None:
        raise UsageError(f"There is no task {task_id!r} in this queue. `list` shows those there are.")
    return view


def row(view: TaskView, storage: Storage) -> dict[str, Any]:
    """Every column, and where the output can be opened."""
    fields = dataclasses.asdict(view)
    fields["status"] = view.status.value
    fields["output"] = storage.locate(view.output_location) if view.output_location else None
    return fields


def progress_text(view: TaskView) -> str:
    """`denoising, step 3 of 4, 62 %`, as far as it is known."""
    progress = view.progress
    parts = [str(view.phase or progress.get("phase") or "waiting")]
    if progress.get("steps") and view.phase == "denoising":
        parts.append(f"step {progress['step']} of {progress['steps']}")
    segments = progress.get("segments")
    if isinstance(segments, int) and segments > 1:
        parts.append(f"segment {int(str(progress['segment'])) + 1} of {segments}")
    percent = progress.get("percent")
    if isinstance(percent, int | float):
        parts.append(f"{percent:.0f} %")
    return ", ".join(parts)


def text(view: TaskView, storage: Storage) -> str:
    """A few lines for a person."""
    lines = [f"task      {view.id}", f"status    {view.status.value}"]
    match view.status:
        case TaskStatus.QUEUED:
            lines.append(f"position  {view.queue_position} in the queue")
        case TaskStatus.IN_PROGRESS:
            lines.append(f"progress  {progress_text(view)} (worker {view.worker_id})")
        case TaskStatus.COMPLETE if view.output_location:
            lines.append(f"output    {storage.locate(view.output_location)}")
        case _:
            pass
    if view.error_message:
        lines.append(f"message   {view.error_message}")
    lines.append(f"attempts  {view.attempts}")
    lines.append(f"queued    {view.created_at}")
    return "\n".join(lines)
