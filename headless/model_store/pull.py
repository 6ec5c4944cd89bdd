"""Fetches the parts of a model. A file gets its name only when all of it is there and its hash is right."""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import os
import shutil
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from headless.errors import DiskFull, ModelMissing, UsageError
from headless.fingerprint import sha256_of
from headless.model_store.hub import Hub, Remote
from headless.model_store.parts import Choice, Part, Source
from headless.model_store.record import PulledFile, read_record, write_record

STAGING: Final = ".pulling"
"""Folder below the models folder in which downloads grow; nothing loads from there."""
_SPARE: Final = 1_000_000_000


@dataclass(frozen=True)
class Wanted:
    """One file of a choice: what it is on the hub, and its place below the models folder."""

    remote: Remote
    place: str

    def staged(self, folder: Path) -> Path:
        """Where it grows; named by its content too, so that another version never continues it."""
        place = hashlib.sha256(self.place.encode()).hexdigest()[:12]
        return folder / STAGING / f"{place}-{self.remote.sha256 or self.remote.git_hash}.part"


class Puller:
    """Pulls into one models folder, under its lock."""

    def __init__(self, folder: Path, hub: Hub, note: Callable[[str], None], *, update: bool = False) -> None:
        self._folder = folder
        self._hub = hub
        self._note = note
        self._update = update
        self._resolved: dict[str, str] = {}

    def pull(self, parts: Sequence[Part]) -> None:
        """Bring every part here, as its first choice that has a source.

        Raises `ModelMissing`, `InputUnavailable`, `DiskFull`, `UsageError`.
        """
        with _locked(self._folder):
            chosen = [_fetchable(part) for part in parts]
            wanted = [self._wanted(choice, source) for choice, source in chosen]
            self._check_room([file for files in wanted for file in files])
            for (choice, _), files in zip(chosen, wanted, strict=True):
                self._bring(choice, files)
            with contextlib.suppress(OSError):
                (self._folder / STAGING).rmdir()

    def _wanted(self, choice: Choice, source: Source) -> list[Wanted]:
        """Files of a choice that are not here with the right bytes."""
        commit = self._commit(source)
        found = []
        for remote in self._hub.files(source, commit):
            file = Wanted(remote, choice.place + remote.path[len(source.path) :])
            if self._have(file):
                self._note(f"{file.place} is here already")
            else:
                found.append(file)
        return found

    def _commit(self, source: Source) -> str:
        """The pinned commit, or what the branch was when it was first pulled into this folder."""
        name = f"{source.repository}@{source.revision}"
        if name not in self._resolved:
            known = None if self._update else read_record(self._folder).revisions.get(name)
            self._resolved[name] = known or self._hub.commit(source)
        return self._resolved[name]

    def _have(self, file: Wanted) -> bool:
        path = self._folder / file.place
        if not path.is_file():
            return False
        pulled = read_record(self._folder).files.get(file.place)
        known = pulled is not None and pulled.sha256 == file.remote.sha256
        if known and path.stat().st_size == file.remote.size:
            return True
        if file.remote.matches(path):
            self._remember([file], {file.place: sha256_of(path)})
            return True
        if pulled is None:
            raise UsageError(
                f"{path} is there and is not {file.remote.path} of {file.remote.repository}. It was not "
                "pulled and is left alone: move it away to have it pulled."
            )
        return False

    def _check_room(self, files: Sequence[Wanted]) -> None:
        needed = 0
        for file in files:
            staged = file.staged(self._folder)
            needed += file.remote.size - (staged.stat().st_size if staged.is_file() else 0)
        free = shutil.disk_usage(self._folder).free
        if needed and needed + _SPARE > free:
            raise DiskFull(
                f"{self._folder} has {free / 1e9:.1f} GB free, and this pull takes {needed / 1e9:.1f} GB and "
                f"{_SPARE / 1e9:.0f} GB to spare. Free some space, or name another --models-dir."
            )

    def _bring(self, choice: Choice, files: Sequence[Wanted]) -> None:
        if not files:
            return
        hashes = {}
        for file in files:
            staged = file.staged(self._folder)
            self._hub.fetch(file.remote, staged)
            with staged.open("rb") as arrived:
                os.fsync(arrived.fileno())
            hashes[file.place] = file.remote.sha256 or sha256_of(staged)
        self._remember(files, hashes)
        self._place(choice, files)
        self._note(f"{choice.place} is complete")

    def _remember(self, files: Sequence[Wanted], hashes: dict[str, str]) -> None:
        entries = {
            file.place: PulledFile(
                repository=file.remote.repository,
                commit=file.remote.commit,
                path=file.remote.path,
                size=file.remote.size,
                sha256=hashes[file.place],
            )
            for file in files
        }
        revisions = {name: commit for name, commit in self._resolved.items() if not name.endswith(commit)}
        write_record(self._folder, read_record(self._folder).adding(revisions, entries))

    def _place(self, choice: Choice, files: Sequence[Wanted]) -> None:
        """A folder that is not there yet appears with all of its files at once."""
        target = self._folder / choice.place
        whole = [file for file in files if file.place != choice.place]
        if not whole or target.exists():
            for file in files:
                _rename(file.staged(self._folder), self._folder / file.place)
            return
        gathered = self._folder / STAGING / "folder"
        shutil.rmtree(gathered, ignore_errors=True)
        for file in whole:
            destination = gathered / file.place[len(choice.place) + 1 :]
            destination.parent.mkdir(parents=True, exist_ok=True)
            _link(file.staged(self._folder), destination)
        _rename(gathered, target)
        for file in whole:
            file.staged(self._folder).unlink(missing_ok=True)


def _rename(source: Path, target: Path) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    source.rename(target)


def _link(source: Path, target: Path) -> None:
    """A link, so that the staged file is still there if this is cut short; not every file system has them."""
    try:
        os.link(source, target)
    except OSError:
        source.rename(target)


def _fetchable(part: Part) -> tuple[Choice, Source]:
    for choice in part.choices:
        if choice.source is not None:
            return choice, choice.source
    places = " or ".join(choice.place for choice in part.choices)
    raise ModelMissing(
        f"Nothing says where the {part.role} ({places}) comes from. Put it below --models-dir, or name its "
        "repository in the model's configs/ file."
    )


@contextmanager
def _locked(folder: Path) -> Iterator[None]:
    """One pull at a time: two would write into the same growing file."""
    descriptor = os.open(folder / ".pulling.lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o666)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        yield
    except BlockingIOError as error:
        raise UsageError(f"Another pull into {folder} is running. Wait until it ends.") from error
    finally:
        os.close(descriptor)
