"""`list`: many tasks, a line each."""

from __future__ import annotations

import argparse
import json
from collections.abc import Mapping

from headless.cli.command import Commands, add_command
from headless.cli.connected import connected
from headless.cli.exit_codes import DONE
from headless.cli.status import progress_text, row
from headless.errors import UsageError
from headless.settings import add_connection_options
from headless.task import TaskStatus, TaskView

MOST = 1_000_000


def add(commands: Commands, environ: Mapping[str, str]) -> None:
    """Add the command."""
    parser = add_command(
        commands,
        "list",
        "list tasks, newest first",
        "Lists tasks, newest first: id, status, when queued, and how far it is, its output or its error.",
        "  python -m headless list --local queue\n"
        "  python -m headless list --local queue --status failed --json\n",
    )
    add_connection_options(parser, environ)
    parser.add_argument("--status", metavar="STATUS", default=None, help=f"only these: {_legal()}")
    parser.add_argument("--limit", metavar="N", type=int, default=50, help="at most so many (default 50)")
    parser.add_argument("--json", action="store_true", help="print the rows as JSON")
    parser.set_defaults(run=run)


def _legal() -> str:
    return ", ".join(status.value for status in TaskStatus)


def _status(text: str | None) -> TaskStatus | None:
    for status in TaskStatus:
        if text is not None and text.lower().replace("-", " ") == status.value.lower():
            return status
    if text is not None:
        raise UsageError(f"--status {text!r} is not known. Use one of: {_legal()}.")
    return None


def _line(view: TaskView) -> str:
    match view.status:
        case TaskStatus.IN_PROGRESS:
            what = progress_text(view)
        case TaskStatus.COMPLETE:
            what = view.output_location or ""
        case _:
            what = view.error_message or ""
    return f"{view.id}  {view.status.value:<11}  {view.created_at[:19]}  {what}".rstrip()


def run(arguments: argparse.Namespace, environ: Mapping[str, str]) -> int:
    """Print the tasks; 0 also when there is none."""
    if not 1 <= arguments.limit <= MOST:
        raise UsageError(f"--limit {arguments.limit} is not from 1 to {MOST}.")
    with connected(arguments, environ) as (queue, storage):
        views = queue.list(_status(arguments.status), arguments.limit)
        if arguments.json:
            print(json.dumps([row(view, storage) for view in views], indent=2, ensure_ascii=False))
        elif views:
            print("\n".join(_line(view) for view in views))
        else:
            print("no tasks")
    return DONE
