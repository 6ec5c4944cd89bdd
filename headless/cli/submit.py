"""`submit`: queue a task."""

from __future__ import annotations

import argparse
from collections.abc import Mapping

from headless.cli.connected import connected
from headless.cli.exit_codes import DONE
from headless.cli.job_file import add_job_options, read_job, with_stored_files
from headless.cli.watch import watch
from headless.clock import SystemClock
from headless.params import parse
from headless.settings import add_connection_options


def add(commands: argparse._SubParsersAction[argparse.ArgumentParser], environ: Mapping[str, str]) -> None:
    """Add the command."""
    parser = commands.add_parser(
        "submit",
        help="queue a task",
        description="Queues a task and prints its id. Local files are put into storage first.",
    )
    add_connection_options(parser, environ)
    add_job_options(parser)
    parser.add_argument(
        "--wait", action="store_true", help="show progress until the task ends, then where its video is"
    )
    parser.add_argument(
        "--no-check", action="store_true", help="queue the parameters as they are; the worker judges them"
    )
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace, environ: Mapping[str, str]) -> int:
    """0 once queued; with `--wait` how the task ended."""
    job = read_job(arguments)
    with connected(arguments, environ) as (queue, storage):
        params = with_stored_files(job, storage, queue.owner)
        if not arguments.no_check:
            parse(job.task_type, params)
        task_id = queue.enqueue(job.task(params))
        if not arguments.wait:
            print(task_id)
            return DONE
        return watch(task_id, queue, storage, SystemClock())
