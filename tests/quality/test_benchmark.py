"""The benchmark of the output checks runs from a checkout. Nothing here looks at a time."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent.parent


def test_it_ends_with_one_json_line() -> None:
    command = [sys.executable, "benchmarks/output_checks.py", "--json"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
    told = json.loads(done.stdout.splitlines()[-1])
    assert told["frames"] == 81
    assert [row["size"] for row in told["sizes"]] == ["832x480", "1280x720"]
    assert all(value >= 0 for row in told["sizes"] for name, value in row.items() if name != "size")
