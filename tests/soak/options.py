"""What a soak is told on its command line."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from headless.settings import make_parser

BACKENDS = ("supabase", "sqlite")

_DESCRIPTION = """\
Runs many worker processes (worker.py --engine fake) on a real queue and kills, stops and continues them at
random; on Supabase the database is restarted and its connections are cut, too. Killed workers are started
anew. Faults follow the jobs that are done, not the clock, so a slow machine sees as many of them.

In the end every job is audited: one completed attempt, one published video with the right bytes and the right
numbered frames, nothing in progress, nothing of a lost attempt to be seen, nothing left in a work folder.
A task that chance killed on two workers is in quarantine; it is queued again as a user would do it (`headless
retry`), and its copy is audited. Any other end is a loss.

The last line is: lost L, published twice D, kills K, restarts R, jobs N
Restarts are those of the database; on SQLite there is none to restart.
"""
_EPILOG = """\
examples:
  scripts/soak --backend sqlite --workers 4 --jobs 200
  scripts/soak --backend supabase --workers 16 --jobs 2000 --seconds 3600 --seed 7

exit status: 0 everything is as it should be, 1 something is not (the lines before the last one name the
tasks), 2 wrong options
"""


@dataclass(frozen=True)
class SoakOptions:
    """One soak. `jobs_per_fault`: jobs done between two faults, on average. `folder` is kept if named."""

    backend: str = "supabase"
    workers: int = 16
    jobs: int = 2000
    seconds: float = 3600.0
    seed: int = 1
    lease_seconds: float = 5.0
    step_seconds: float = 0.05
    jobs_per_fault: float = 8.0
    folder: Path | None = None


def read_options(argv: Sequence[str]) -> SoakOptions:
    """The command line; wrong options and `--help` leave the process as argparse does."""
    usual = SoakOptions()
    parser = make_parser("scripts/soak", _DESCRIPTION, _EPILOG)
    add = parser.add_argument
    add("--backend", choices=BACKENDS, default=usual.backend, help=f"the queue (default {usual.backend})")
    add("--workers", type=_count, metavar="N", default=usual.workers, help="processes (default %(default)s)")
    add("--jobs", type=_count, metavar="N", default=usual.jobs, help="tasks (default %(default)s)")
    add(
        "--seconds",
        type=_positive,
        metavar="S",
        default=usual.seconds,
        help="what is not done by then is lost (default %(default)g)",
    )
    add(
        "--seed",
        type=int,
        metavar="N",
        default=usual.seed,
        help="which faults come, in which order (default %(default)s)",
    )
    add(
        "--lease-seconds",
        type=_positive,
        metavar="S",
        default=usual.lease_seconds,
        help="lease of the workers; they are stopped for 1.2 to 2 leases (default %(default)g)",
    )
    add(
        "--step-seconds",
        type=_positive,
        metavar="S",
        default=usual.step_seconds,
        help="what one of a job's three steps takes (default %(default)g)",
    )
    add(
        "--jobs-per-fault",
        type=_positive,
        metavar="N",
        default=usual.jobs_per_fault,
        help="jobs done between two faults, on average (default %(default)g)",
    )
    add(
        "--folder",
        type=_new_folder,
        metavar="DIR",
        help="a new folder for queue and logs (default: a temporary one, removed if all is well)",
    )
    return SoakOptions(**vars(parser.parse_args(argv)))


def _count(text: str) -> int:
    value = int(text)
    if not 1 <= value <= 100_000:
        raise argparse.ArgumentTypeError(f"{value} is not a number from 1 to 100000")
    return value


def _positive(text: str) -> float:
    value = float(text)
    if not 0 < value <= 1_000_000:
        raise argparse.ArgumentTypeError(f"{value:g} is not a number above 0")
    return value


def _new_folder(text: str) -> Path:
    folder = Path(text)
    if folder.exists():
        raise argparse.ArgumentTypeError(f"{text} is there already; name a new folder")
    return folder
