"""`python -m tests.soak`: see scripts/soak --help."""

from __future__ import annotations

import shutil
import signal
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from types import FrameType

from tests.soak.ground import open_ground
from tests.soak.options import SoakOptions, read_options
from tests.soak.soak import Soak, conclude


def main(argv: Sequence[str]) -> int:
    """Run a soak. Ctrl-C and SIGTERM end it and all its processes."""
    options = read_options(argv)
    signal.signal(signal.SIGTERM, _leave)
    if options.folder is not None:
        return soak_in(options.folder, options)
    folder = Path(tempfile.mkdtemp(prefix="soak-"))
    status = soak_in(folder / "soak", options)
    if status == 0:
        shutil.rmtree(folder)
    return status


def soak_in(folder: Path, options: SoakOptions) -> int:
    """Run a soak in a new folder; its exit status. What it says goes to stdout, the counts last."""
    _say(f"{options.backend}, {options.workers} workers, {options.jobs} jobs, seed {options.seed}; {folder}")
    with open_ground(options, folder) as ground:
        verdict, tally = Soak(options, ground, _say).run()
    return conclude(verdict, tally, options.jobs, _say)


def _say(line: str) -> None:
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


def _leave(number: int, frame: FrameType | None) -> None:
    raise SystemExit(128 + number)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
