"""`submit`: queue a task."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Mapping

from headless.cli.command import Commands, add_command
from headless.cli.connected import connected
from headless.cli.exit_codes import DONE
from headless.cli.job_file import add_job_options, read_job, with_stand_ins, with_stored_files
from headless.cli.watch import watch
from headless.clock import SystemClock
from headless.params import parse
from headless.settings import add_connection_options

_EXAMPLES = """\
  python -m headless submit --local queue --model wan_tiny_i2v --start-image cat.png --prompt "a cat yawns"
  python -m headless submit --local queue --file job.json --seed 7 --wait
  python -m headless submit --local queue --file next.json --continue-from TASK --dependant-on TASK
"""


def add(commands: Commands, environ: Mapping[str, str]) -> None:
    """Add the command."""
    parser = add_command(
        commands,
        "submit",
        "queue a task",
        "Queues a task and prints its id. Local files are put into storage first; "
        "names in --file are relative to it.",
        _EXAMPLES,
        usage="%(prog)s (--local DIR | --supabase-url URL) [--file JOB.json] [parameters] [--wait]",
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
    if not arguments.no_check:
        parse(job.task_type, with_stand_ins(job).params, job.continued)
    with connected(arguments, environ) as (queue, storage):
        task_id = queue.enqueue(job.task(with_stored_files(job, storage, queue.owner)))
        if not arguments.wait:
            print(task_id)
            return DONE
        print(f"task {task_id}", file=sys.stderr, flush=True)
        return watch(task_id, queue, storage, SystemClock())
