"""`cancel`: stop a task."""

from __future__ import annotations

import argparse
from collections.abc import Mapping
from typing import assert_never

from headless.cli.command import Commands, add_command
from headless.cli.connected import connected
from headless.cli.exit_codes import DONE, FAILED
from headless.errors import UsageError
from headless.settings import add_connection_options
from headless.task import CancelAnswer


def add(commands: Commands, environ: Mapping[str, str]) -> None:
    """Add the command."""
    parser = add_command(
        commands,
        "cancel",
        "stop a task",
        "Cancels a task that waits, at once, or asks the worker of a running one to stop.",
        "  python -m headless cancel --local queue TASK\n",
    )
    add_connection_options(parser, environ)
    parser.add_argument("task", metavar="TASK", help="the task's id")
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace, environ: Mapping[str, str]) -> int:
    """0 when it is or will be cancelled, 1 when it had ended before."""
    with connected(arguments, environ) as (queue, _):
        answer = queue.cancel(arguments.task)
    match answer:
        case CancelAnswer.CANCELLED:
            print("cancelled")
            return DONE
        case CancelAnswer.REQUESTED:
            print("the worker was asked to stop; it does within a few steps")
            return DONE
        case CancelAnswer.FINAL:
            print("the task had ended before; nothing was changed")
            return FAILED
        case CancelAnswer.UNKNOWN:
            raise UsageError(
                f"There is no task {arguments.task!r} in this queue. `list` shows those there are."
            )
        case _:
            assert_never(answer)
