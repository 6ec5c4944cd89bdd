"""Objects as files under one folder; an object is there completely, or not at all."""

from __future__ import annotations

import errno
import fcntl
import hashlib
import os
import stat
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import BinaryIO, Final

from headless import keys
from headless.errors import BadInput, DiskFull, HeadlessError, StorageUnavailable, Unsafe, UsageError
from headless.ports import StoredObject

CHUNK_BYTES: Final = 1 << 20
ABANDONED_SECONDS: Final = 60.0
MOST_REMEMBERED: Final = 1000
_INCOMING: Final = ".incoming"
_NO_ROOM: Final = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG})
_WRONG_PLACE: Final = frozenset(
    {errno.EACCES, errno.EPERM, errno.EROFS, errno.ENOTSUP, errno.EXDEV, errno.ENOTDIR, errno.EEXIST}
)
_READ: Final = os.O_RDONLY | os.O_NONBLOCK | os.O_NOFOLLOW | os.O_CLOEXEC
_WRITE: Final = os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC


class LocalStorage:
    """`headless.ports.Storage` in the folder `root`, created on first use.

    Modes follow the process's umask. Objects never change: they appear under their name complete, by a hard
    link, and a name that is taken is left alone. What a killed process left half-written is removed at the
    next start.
    """

    def __init__(self, root: Path | str) -> None:
        self.root = Path(root).absolute()
        self._lasting: set[tuple[Path, int]] = set()
        self._remove_abandoned()

    def put(self, key: str, source: Path, content_type: str) -> StoredObject:
        """Store a file and verify it. An existing key with the same bytes is fine; other bytes: `Unsafe`."""
        del content_type  # A file's type is told by the extension in its key.
        with _translated(f"storing {key!r} under {self.root}"):
            target = self._path(key)
            with _opened_source(source) as reader, self._incoming() as (path, writer):
                sha256, size = _copy(reader, writer)
                _verify(writer, sha256, key)
                self._publish(path, target, key, sha256)
            return StoredObject(key, sha256, size)

    def fetch(self, key: str, destination: Path, limit_bytes: int) -> StoredObject:
        """Copy an object to a local file. `BadInput` when absent or larger than `limit_bytes`."""
        with _translated(f"fetching {key!r} from {self.root}"), self._opened(key) as reader:
            _refuse_above(limit_bytes, os.fstat(reader.fileno()).st_size, key)
            part = destination.with_name(f"{destination.name}.{uuid.uuid4().hex}.part")
            try:
                with os.fdopen(os.open(part, _WRITE, 0o666), "w+b") as writer:
                    sha256, size = _copy(reader, writer, limit_bytes, key)
                part.replace(destination)
            except BaseException:
                part.unlink(missing_ok=True)
                raise
            return StoredObject(key, sha256, size)

    def exists(self, key: str) -> bool:
        """Whether there is such an object."""
        with _translated(f"looking for {key!r} under {self.root}"):
            return self._path(key).is_file()

    def locate(self, key: str) -> str:
        """The absolute path of the object, whether it is there or not."""
        with _translated(f"looking for {key!r} under {self.root}"):
            return str(self._path(key))

    def _path(self, key: str) -> Path:
        """Where the object lies, links resolved; a link that leads out of the folder is `Unsafe`."""
        keys.safe_key(key)
        root = self.root.resolve()
        try:
            path = (root / key).resolve()
        except RuntimeError as error:  # Before Python 3.13 a circle of links shows as this.
            raise Unsafe(f"the object key {key!r} leads through links in a circle; remove them") from error
        if not path.is_relative_to(root):
            raise Unsafe(f"the object key {key!r} leads through a link out of {self.root}; remove the link")
        return path

    @contextmanager
    def _opened(self, key: str) -> Iterator[BinaryIO]:
        path = self._path(key)
        try:
            descriptor = os.open(path, _READ)
        except (FileNotFoundError, NotADirectoryError) as error:
            raise BadInput(f"there is no object {key!r} in {self.root}") from error
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            os.close(descriptor)
            raise Unsafe(f"the object {key!r} in {self.root} is not a regular file")
        with os.fdopen(descriptor, "rb") as reader:
            yield reader

    @contextmanager
    def _incoming(self) -> Iterator[tuple[Path, BinaryIO]]:
        """A new file on the same file system, gone at the end; its lock tells that its writer lives."""
        folder = self.root / _INCOMING
        folder.mkdir(parents=True, exist_ok=True)
        path = folder / uuid.uuid4().hex
        with os.fdopen(os.open(path, _WRITE, 0o666), "w+b") as writer:
            try:
                fcntl.flock(writer.fileno(), fcntl.LOCK_EX)
                yield path, writer
            finally:
                path.unlink(missing_ok=True)

    def _publish(self, path: Path, target: Path, key: str, sha256: str) -> None:
        try:
            target.parent.mkdir(parents=True, exist_ok=True)
        except (FileExistsError, NotADirectoryError) as error:
            raise Unsafe(f"the object key {key!r} lies below another object; use another name") from error
        try:
            os.link(path, target)
        except FileExistsError:
            self._refuse_other_bytes(key, sha256)
        else:
            self._sync_folders(target.parent)

    def _sync_folders(self, folder: Path) -> None:
        """Make the new name, and the names of new folders above it, outlive a power cut.

        A folder whose own name was seen to last is known by its inode, and those above it need no look.
        """
        _sync(folder)
        if len(self._lasting) > MOST_REMEMBERED:
            self._lasting.clear()
        seen = set()
        root = self.root.resolve()
        while folder != root and (known := (folder, folder.stat().st_ino)) not in self._lasting:
            _sync(folder.parent)
            seen.add(known)
            folder = folder.parent
        self._lasting |= seen

    def _refuse_other_bytes(self, key: str, sha256: str) -> None:
        with self._opened(key) as reader:
            if _sha256(reader) != sha256:
                raise Unsafe(f"the object {key!r} exists with other bytes; objects are never overwritten")

    def _remove_abandoned(self) -> None:
        folder = self.root / _INCOMING
        with suppress(FileNotFoundError, NotADirectoryError, PermissionError):
            for path in folder.iterdir():
                _remove_if_abandoned(path)


def _remove_if_abandoned(path: Path) -> None:
    """Remove a file that nobody holds; a minute's grace covers the moment between creating and locking it."""
    with suppress(OSError), path.open("rb") as held:
        if time.time() - os.fstat(held.fileno()).st_mtime > ABANDONED_SECONDS:
            fcntl.flock(held.fileno(), fcntl.LOCK_EX | fcntl.LOCK_NB)
            path.unlink()


@contextmanager
def _opened_source(source: Path) -> Iterator[BinaryIO]:
    try:
        reader = source.open("rb")
    except (FileNotFoundError, IsADirectoryError, NotADirectoryError) as error:
        raise BadInput(f"there is no file {str(source)!r} to store") from error
    with reader:
        yield reader


def _copy(
    reader: BinaryIO, writer: BinaryIO, limit_bytes: int | None = None, key: str = ""
) -> tuple[str, int]:
    """Copy to the end and sync; the bytes' SHA-256 and number."""
    digest, size = hashlib.sha256(), 0
    while chunk := reader.read(CHUNK_BYTES):
        size += len(chunk)
        if limit_bytes is not None:
            _refuse_above(limit_bytes, size, key)
        digest.update(chunk)
        writer.write(chunk)
    writer.flush()
    os.fsync(writer.fileno())
    return digest.hexdigest(), size


def _sha256(reader: BinaryIO) -> str:
    digest = hashlib.sha256()
    while chunk := reader.read(CHUNK_BYTES):
        digest.update(chunk)
    return digest.hexdigest()


def _verify(writer: BinaryIO, sha256: str, key: str) -> None:
    writer.seek(0)
    if _sha256(writer) != sha256:
        raise StorageUnavailable(f"the disk gave back other bytes than were written for {key!r}; try again")


def _refuse_above(limit_bytes: int, size: int, key: str) -> None:
    if size > limit_bytes:
        raise BadInput(f"the object {key!r} has {size} bytes or more; at most {limit_bytes} are accepted")


def _sync(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


@contextmanager
def _translated(doing: str) -> Iterator[None]:
    """Turn the operating system's errors into ours."""
    try:
        yield
    except OSError as error:
        raise _translate(doing, error) from error


def _translate(doing: str, error: OSError) -> HeadlessError:
    if error.errno in _NO_ROOM:
        return DiskFull(f"{doing} failed: there is no room left ({error.strerror}); free some space")
    if error.errno == errno.ELOOP:
        return Unsafe(f"{doing} failed: links lead in a circle; remove them")
    if error.errno in _WRONG_PLACE:
        return UsageError(
            f"{doing} failed: {error.strerror}; it must be a folder that this user may write to, on a disk "
            "that supports hard links"
        )
    return StorageUnavailable(f"{doing} failed: {error.strerror}; check the disk, then try again")
