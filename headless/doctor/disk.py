"""Room, and the right to write, where the worker will write."""

from __future__ import annotations

import os
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from headless.doctor.finding import Finding, fail, ok, warn

_NEEDED: Final = 1e9
_WANTED: Final = 10e9


def check_disk(folders: Mapping[str, Path]) -> list[Finding]:
    """One finding per folder, by the flag that names it. A folder that is not there yet may be made."""
    return [_folder(use, path.expanduser().absolute()) for use, path in folders.items()]


def _folder(use: str, path: Path) -> Finding:
    there = path
    while not there.exists():
        there = there.parent
    if not there.is_dir():
        return fail("disk", f"{use} {path}: {there} is no folder", f"Name another folder for {use}.")
    if not os.access(there, os.W_OK | os.X_OK):
        return fail(
            "disk",
            f"{use} {path}: this user may not write there",
            f"Give the folder to the worker's user, or name another one for {use}.",
        )
    free = shutil.disk_usage(there).free
    what = f"{use} {path}: {free / 1e9:.1f} GB free"
    if free < _NEEDED:
        return fail(
            "disk", what, f"Free at least {_NEEDED / 1e9:.0f} GB: a task would stop for lack of room."
        )
    if free < _WANTED:
        return warn("disk", what, f"Free some space; {_WANTED / 1e9:.0f} GB leave room for long videos.")
    return ok("disk", what)
