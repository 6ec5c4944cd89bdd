"""`health`: whether the worker on this machine is alive, for container platforms."""

from __future__ import annotations

import argparse
import time
from collections.abc import Mapping
from pathlib import Path

from headless.cli.command import Commands, add_command
from headless.cli.exit_codes import DONE, FAILED
from headless.errors import UsageError
from headless.settings import EnvironmentOptions


def add(commands: Commands, environ: Mapping[str, str]) -> None:
    """Add the command."""
    parser = add_command(
        commands,
        "health",
        "say whether the worker here is alive",
        "Looks at the file that a worker touches while it works or waits. Exit status 0: alive, 1: not.",
        "  python -m headless health --health-file /run/worker/health\n",
    )
    options = EnvironmentOptions(parser, environ)
    options.value("--health-file", "HEADLESS_HEALTH_FILE", "the worker's --health-file", metavar="PATH")
    parser.add_argument(
        "--max-age", metavar="S", type=float, default=120.0, help="how old it may be (default 120)"
    )
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace, _: Mapping[str, str]) -> int:
    """0 alive, 1 not."""
    if not arguments.health_file:
        raise UsageError("Name the worker's --health-file, or set HEADLESS_HEALTH_FILE.")
    try:
        age = time.time() - Path(arguments.health_file).stat().st_mtime
    except OSError as error:
        print(f"not alive: {arguments.health_file} cannot be looked at ({error.strerror})")
        return FAILED
    if age > arguments.max_age:
        print(f"not alive: last sign {age:.0f} s ago")
        return FAILED
    print(f"alive: last sign {age:.0f} s ago")
    return DONE
