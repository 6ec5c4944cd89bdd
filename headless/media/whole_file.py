"""A file appears under its name only when it is whole."""

from __future__ import annotations

import errno
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from headless.errors import DiskFull

_NO_ROOM = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG})


@contextmanager
def whole_file(destination: Path) -> Iterator[Path]:
    """Give a temporary path beside `destination`; rename it when the block ends, delete it on any error.

    The folder is created. A lack of room raises `DiskFull`. What a killed process leaves behind begins with a
    dot and the name, and ends in `.part`; `remove_parts` deletes it.
    """
    partial = destination.with_name(f".{destination.name}.{secrets.token_hex(4)}.part")
    with no_room_is_disk_full(destination):
        destination.parent.mkdir(parents=True, exist_ok=True)
        try:
            yield partial
            partial.replace(destination)
        finally:
            partial.unlink(missing_ok=True)


def remove_parts(folder: Path, stem: str) -> None:
    """Delete what killed processes left of files whose names begin with `stem` and a dot."""
    for path in folder.iterdir() if folder.is_dir() else ():
        if path.name.startswith(f".{stem}.") and path.suffix == ".part":
            path.unlink(missing_ok=True)


@contextmanager
def no_room_is_disk_full(path: Path) -> Iterator[None]:
    """Report a full disk, an exhausted quota or a file size limit as `DiskFull`, naming the folder."""
    try:
        yield
    except OSError as error:
        if error.errno not in _NO_ROOM:
            raise
        reason = error.strerror or "no space left"
        raise DiskFull(f"no room to write {path.name} in {path.parent}: {reason}; free some space") from error
