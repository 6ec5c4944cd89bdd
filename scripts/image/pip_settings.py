"""How this machine's pip is set up, to be carried into a clean root.

A machine behind a mirror, with wheels on disk or an authority of its own, keeps working there, and none of
it is written down in the repository; elsewhere this is empty.
"""

from __future__ import annotations

import ast
import subprocess
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class PipSettings:
    """`environment`: PIP_... variables. `paths`: files and folders that they name."""

    environment: dict[str, str]
    paths: tuple[Path, ...]


def of_this_machine(python: str) -> PipSettings:
    """What `python -m pip config list` tells, from all of its files and the environment."""
    command = [python, "-m", "pip", "config", "list"]
    listed = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    return parse(listed.splitlines())


def parse(lines: Iterable[str]) -> PipSettings:
    """Lines like `global.find-links='/wheels'`; later ones win."""
    environment: dict[str, str] = {}
    for line in lines:
        name, _, value = line.partition("=")
        option = name.rpartition(".")[2].upper().replace("-", "_")
        environment[f"PIP_{option}"] = " ".join(str(ast.literal_eval(value)).split())
    words = [word for value in environment.values() for word in value.split()]
    return PipSettings(environment, tuple(dict.fromkeys(filter(None, map(_local, words)))))


def _local(word: str) -> Path | None:
    """The file or folder that a value names; an index on disk has its files beside it, so its parent."""
    path = Path(word.removeprefix("file://"))
    if not path.is_absolute() or not path.exists():
        return None
    return path.parent if path.name == "simple" else path
