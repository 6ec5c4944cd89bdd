"""Finished results on their way out: on disk until the queue has acknowledged them, across restarts too."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import structlog

from headless.task import Claim
from headless.workspace import LOCK, FolderLock, sync_folder

RECORD = "parcel.json"

log = structlog.get_logger(__name__)


@dataclass(frozen=True)
class Parcel:
    """The files of one attempt, the result that describes them and its report. `folder` holds the files."""

    folder: Path
    claim: Claim
    result: dict[str, Any]
    lock: FolderLock
    report: dict[str, Any] = field(default_factory=dict)

    def discard(self) -> None:
        """The queue knows: the files are no longer needed here."""
        # The record goes first: what a kill leaves of the rest is then litter, which the next start removes.
        (self.folder / RECORD).unlink(missing_ok=True)
        shutil.rmtree(self.folder, ignore_errors=True)
        self.lock.drop()

    def amend(self, **told: Any) -> None:
        """Add to the result, so that a kill does not undo it."""
        self.result.update(told)
        record = json.loads((self.folder / RECORD).read_text(encoding="utf-8"))
        part = self.folder / f"{RECORD}.part"
        part.write_text(json.dumps(record | {"result": self.result}, ensure_ascii=False), encoding="utf-8")
        _sync_file(part)
        part.replace(self.folder / RECORD)

    def leave(self) -> None:
        """Not delivered: the next start, or another worker on this machine, tries again."""
        self.lock.drop()


class Outbox:
    """The parcels of one queue in a folder. `queue_name` says whose they are: others are left alone."""

    def __init__(self, folder: Path, queue_name: str) -> None:
        self._folder = folder
        self._queue_name = queue_name

    def post(
        self, claim: Claim, files: Path, result: dict[str, Any], report: dict[str, Any] | None = None
    ) -> Parcel:
        """Move `files`, a folder on the same file system, into the outbox. Durable when it returns."""
        told = {"result": result, "report": report or {}}
        record = {"queue": self._queue_name, "claim": asdict(claim) | {"params": None}, **told}
        (files / RECORD).write_text(json.dumps(record, ensure_ascii=False), encoding="utf-8")
        (files / LOCK).touch()
        for path in files.iterdir():
            _sync_file(path)
        lock = FolderLock(files)
        lock.take()
        target = self._folder / f"{claim.task_id}-{claim.attempt}"
        if target.exists():
            shutil.rmtree(target)
        files.rename(target)
        sync_folder(self._folder)
        return Parcel(target, claim, result, lock, told["report"])

    def waiting(self) -> Iterator[Parcel]:
        """Parcels that nobody delivers now, locked for the caller, who must `discard` or `leave` each."""
        for folder in sorted(self._folder.iterdir()):
            lock = FolderLock(folder)
            if not lock.take():
                continue
            if not (folder / RECORD).exists():
                log.info("removing what is left of a delivered parcel", folder=folder.name)
                shutil.rmtree(folder, ignore_errors=True)
                lock.drop()
                continue
            parcel = self._read(folder, lock)
            if parcel is None:
                lock.drop()
            else:
                yield parcel

    def _read(self, folder: Path, lock: FolderLock) -> Parcel | None:
        try:
            record = json.loads((folder / RECORD).read_text(encoding="utf-8"))
            claim = Claim(**{**record["claim"], "checkpoints": (), "continued": None})
            if record["queue"] != self._queue_name:
                return None
            return Parcel(folder, claim, dict(record["result"]), lock, dict(record.get("report", {})))
        except (OSError, ValueError, KeyError, TypeError) as error:
            log.warning("a parcel cannot be read; it stays", folder=folder.name, error=str(error))
            return None


def _sync_file(path: Path) -> None:
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
