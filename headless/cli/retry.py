"""`retry`: queue a finished task again."""

from __future__ import annotations

import argparse
from collections.abc import Mapping

from headless.cli.command import Commands, add_command
from headless.cli.connected import connected
from headless.cli.exit_codes import DONE, FAILED
from headless.cli.status import find
from headless.settings import add_connection_options


def add(commands: Commands, environ: Mapping[str, str]) -> None:
    """Add the command."""
    parser = add_command(
        commands,
        "retry",
        "queue a finished task again",
        "Queues a copy of a task that is Complete, Failed or Cancelled, and prints the copy's id.",
        "  python -m headless retry --local queue TASK\n",
    )
    add_connection_options(parser, environ)
    parser.add_argument("task", metavar="TASK", help="the finished task's id")
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace, environ: Mapping[str, str]) -> int:
    """0 once the copy is queued, 1 when the task has not ended."""
    with connected(arguments, environ) as (queue, _):
        view = find(queue, arguments.task)
        copy = queue.retry(view.id)
    if copy is None:
        print(f"the task is {view.status.value}; only a task that has ended can be queued again")
        return FAILED
    print(copy)
    return DONE
