"""Folders on disk: one per running task, and the outbox of finished ones. Survives kill -9 without litter."""

from __future__ import annotations

import contextlib
import errno
import fcntl
import os
import shutil
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import IO

import structlog

LOCK = ".lock"
LOCK_TRIES = 10

log = structlog.get_logger(__name__)


class FolderLock:
    """A lock on a folder that ends with the process that holds it."""

    def __init__(self, folder: Path) -> None:
        self._path = folder / LOCK
        self._file: IO[bytes] | None = None

    def take(self) -> bool:
        """Whether the lock is ours now; false while another holds it, when the folder is gone, and where it
        belongs to another user.
        """
        try:
            file = self._path.open("ab")
        except (FileNotFoundError, NotADirectoryError):
            return False
        except PermissionError as error:
            log.warning("a folder of another user stays", folder=str(self._path.parent), why=error.strerror)
            return False
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            removed = self._path.stat().st_ino != os.fstat(file.fileno()).st_ino
        except OSError:
            removed = True
        if removed:
            file.close()
            return False
        self._file = file
        return True

    def drop(self) -> None:
        """Give the lock back."""
        if self._file is not None:
            self._file.close()
            self._file = None


class Workspace:
    """`root/jobs/*` and `root/outbox/*`. Several workers may share a root."""

    def __init__(self, root: Path) -> None:
        self._jobs = root / "jobs"
        self.outbox = root / "outbox"
        for folder in (self._jobs, self.outbox):
            folder.mkdir(parents=True, exist_ok=True)

    @contextlib.contextmanager
    def job_folder(self, name: str) -> Iterator[Path]:
        """An empty folder for the length of the block."""
        folder, lock = self._new_folder(name)
        try:
            yield folder
        finally:
            shutil.rmtree(folder, ignore_errors=True)
            lock.drop()

    def _new_folder(self, name: str) -> tuple[Path, FolderLock]:
        """Another worker that sweeps may take a folder away before it is locked; then a new one is made."""
        for _ in range(LOCK_TRIES):
            folder = self._jobs / f"{name}-{uuid.uuid4().hex[:8]}"
            folder.mkdir(mode=0o700)
            lock = FolderLock(folder)
            if lock.take():
                return folder, lock
        raise OSError(errno.ENOLCK, "no folder could be locked here; choose another --work-dir", self._jobs)

    def sweep(self) -> None:
        """Remove the folders of jobs whose process is gone."""
        for folder in sorted(self._jobs.iterdir()):
            lock = FolderLock(folder)
            if lock.take():
                log.info("removing what a killed worker left", folder=folder.name)
                shutil.rmtree(folder, ignore_errors=True)
                lock.drop()


def empty_folder(folder: Path) -> None:
    """Remove everything in a folder that is ours, but not the folder and its lock."""
    for path in folder.iterdir():
        if path.is_dir():
            shutil.rmtree(path, ignore_errors=True)
        elif path.name != LOCK:
            path.unlink(missing_ok=True)


def sync_folder(folder: Path) -> None:
    """Have the file system keep the folder's names through a crash."""
    handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
