"""The command line: one file per command."""

from __future__ import annotations

import argparse
import io
import os
import sys
from collections.abc import Mapping, Sequence
from typing import NoReturn

from headless import __version__
from headless.cli import (
    cancel,
    diff,
    doctor,
    health,
    list_tasks,
    lora,
    models,
    plan,
    replay,
    retry,
    status,
    submit,
)
from headless.cli.exit_codes import BAD_USE, CANCELLED, DONE, FAILED
from headless.errors import BadInput, BadParams, HeadlessError, Unsafe, UsageError
from headless.logs import without_tokens
from headless.settings import make_parser

_COMMANDS = (submit, status, list_tasks, cancel, retry, plan, replay, diff, lora, models, doctor, health)

_EPILOG = """\
A queue is either a folder (--local DIR) or a Supabase project (--supabase-url URL with a token). A worker
takes its tasks: `python worker.py --help`. `COMMAND --help` explains a command; every setting is also an
environment variable, so that HEADLESS_LOCAL or SUPABASE_URL need not be repeated.

examples:
  python -m headless submit --local queue --model wan_tiny_i2v --start-image cat.png --prompt "a cat yawns"
  python -m headless submit --local queue --file job.json --wait
  python -m headless plan --file job.json
  python -m headless status --local queue TASK
  python -m headless list --supabase-url https://PROJECT.supabase.co --status Failed

exit status: 0 done (or queued, without --wait), 1 failed, 2 bad use, 130 cancelled
"""


def main(argv: Sequence[str], environ: Mapping[str, str] = os.environ) -> int:
    """Run one command and return its exit status."""
    _print_anything()
    try:
        arguments = _parser(environ).parse_args(argv)
        status_code: int = arguments.run(arguments, environ)
        sys.stdout.flush()
    except (UsageError, BadParams, BadInput, Unsafe) as error:
        print(f"headless: {without_tokens(error.message)}", file=sys.stderr)
        return BAD_USE
    except HeadlessError as error:
        print(f"headless: {without_tokens(error.message)}", file=sys.stderr)
        return FAILED
    except KeyboardInterrupt:
        return CANCELLED
    except BrokenPipeError:
        _forget_stdout()
        return DONE
    return status_code


def _parser(environ: Mapping[str, str]) -> argparse.ArgumentParser:
    parser = make_parser("python -m headless", "Queues video tasks and looks at them.", _EPILOG)
    parser.add_argument("--version", action="version", version=f"headless {__version__}")
    parser.set_defaults(run=lambda *_: _no_command(parser))
    commands = parser.add_subparsers(title="commands", metavar="COMMAND")
    for command in _COMMANDS:
        command.add(commands, environ)
    return parser


def _no_command(parser: argparse.ArgumentParser) -> NoReturn:
    parser.print_help(sys.stderr)
    raise UsageError("Name a COMMAND.")


def _print_anything() -> None:
    """What the terminal's encoding lacks is written as an escape, as it always is on stderr."""
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="backslashreplace")


def _forget_stdout() -> None:
    """Whoever read our output has left; what is still buffered goes nowhere, quietly."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
