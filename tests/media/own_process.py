"""Programs that change limits of their whole process, run in one of their own."""

from __future__ import annotations

import subprocess
import sys
import textwrap
from pathlib import Path

_ROOT = Path(__file__).resolve().parents[2]


def run_program(program: str, *arguments: object) -> str:
    """What the program prints; it must succeed and say nothing on standard error."""
    command = [sys.executable, "-c", textwrap.dedent(program), *map(str, arguments)]
    done = subprocess.run(command, check=False, capture_output=True, text=True, timeout=60, cwd=_ROOT)
    assert (done.returncode, done.stderr) == (0, "")
    return done.stdout
