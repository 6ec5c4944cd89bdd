"""The files of the repository, with and without git."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

REPOSITORY = Path(__file__).resolve().parents[2]
_NOT_OURS = {"node_modules", "__pycache__"}
_AT_THE_ROOT = {"out"}
_HIDDEN_AND_OURS = {".ci", ".dockerignore", ".gitignore"}


def files() -> Iterator[Path]:
    """Every file that is ours: what .gitignore leaves out is not."""
    for path in sorted(REPOSITORY.iterdir()):
        hidden = path.name.startswith(".") and path.name not in _HIDDEN_AND_OURS
        if not hidden and path.name not in _AT_THE_ROOT:
            yield from _below(path)


def texts() -> Iterator[tuple[Path, str]]:
    """Every file of text, with its text."""
    for path in files():
        content = path.read_bytes()
        if b"\0" not in content:
            yield path, content.decode("utf-8")


def python_files(*folders: str) -> Iterator[Path]:
    """The Python files below some folders, and files named directly."""
    for name in folders:
        path = REPOSITORY / name
        yield from [path] if path.is_file() else (p for p in _below(path) if p.suffix == ".py")


def _below(path: Path) -> Iterator[Path]:
    if path.is_file():
        yield path
        return
    for inner in sorted(path.iterdir()):
        if inner.name not in _NOT_OURS and not inner.name.startswith("."):
            yield from _below(inner)
