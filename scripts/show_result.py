"""Prints where a task's files are and how long each phase took, from its result JSON."""

from __future__ import annotations

import argparse
import json
from pathlib import Path


def main() -> int:
    """0 when the result tells of a video, 1 when it does not."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("result", type=Path)
    path: Path = parser.parse_args().result
    if not path.is_file():
        print(f"There is no {path}: the task did not complete.")
        print(f"`.venv/bin/python -m headless list --local {path.parent / 'queue'}` says why.")
        return 1
    result = json.loads(path.read_text(encoding="utf-8"))
    for name, file in result["files"].items():
        print(f"{name:<15}{path.parent / file['name']}")
    print(f"{'result':<15}{path}")
    for phase, seconds in result["timings"].items():
        print(f"{phase:<15}{seconds:.2f} s")
    for change in result["adjustments"]:
        print(
            f"{'adjusted':<15}{change['field']}: {change['requested']} -> {change['used']} ({change['why']})"
        )
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
