"""Prints where a task's files are and how long each phase took, from its result JSON."""

from __future__ import annotations

import argparse
import json
from pathlib import Path


def main() -> int:
    """0 when the result tells of a video, 1 when it does not."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("result", type=Path)
    path = parser.parse_args().result
    if not path.is_file():
        print(f"There is no {path}: the task did not complete.")
        print("`python -m headless list --local out/queue` says why.")
        return 1
    result = json.loads(path.read_text(encoding="utf-8"))
    for name, file in result["files"].items():
        print(f"{name:<9} {path.parent / file['name']}")
    print(f"{'result':<9} {path}")
    for phase, seconds in result["timings"].items():
        print(f"{phase:<9} {seconds:.2f} s")
    for adjustment in result["adjustments"]:
        print(
            f"adjusted  {adjustment['field']}: {adjustment['requested']} -> {adjustment['used']} ({adjustment['why']})"
        )
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
