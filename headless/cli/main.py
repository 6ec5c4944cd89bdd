"""The command line: one file per command."""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping, Sequence

from headless.cli import cancel, health, list_tasks, plan, status, submit
from headless.cli.exit_codes import BAD_USE, CANCELLED, DONE, FAILED
from headless.errors import BadInput, BadParams, HeadlessError, Unsafe, UsageError
from headless.settings import make_parser

_COMMANDS = (submit, status, cancel, list_tasks, plan, health)

_EPILOG = """\
examples:
  python -m headless submit --local queue --start-image cat.png --prompt "a cat yawns" --wait
  python -m headless submit --local queue --file job.json
  python -m headless plan --file job.json
  python -m headless status --local queue TASK
  python -m headless list --supabase-url https://PROJECT.supabase.co --status Failed

exit status: 0 done (or queued, without --wait), 1 failed, 2 bad use, 130 cancelled
"""


def main(argv: Sequence[str], environ: Mapping[str, str] = os.environ) -> int:
    """Run one command and return its exit status."""
    parser = make_parser("python -m headless", "Queues video tasks and looks at them.", _EPILOG)
    commands = parser.add_subparsers(title="commands", metavar="COMMAND", required=True)
    try:
        for command in _COMMANDS:
            command.add(commands, environ)
        arguments = parser.parse_args(argv)
        status_code: int = arguments.run(arguments, environ)
    except (UsageError, BadParams, BadInput, Unsafe) as error:
        print(f"headless: {error.message}", file=sys.stderr)
        return BAD_USE
    except HeadlessError as error:
        print(f"headless: {error.message}", file=sys.stderr)
        return FAILED
    except KeyboardInterrupt:
        return CANCELLED
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return DONE
    return status_code
