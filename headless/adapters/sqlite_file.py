"""One SQLite file of ours: created on first use, opened safely, its errors in our own words."""

from __future__ import annotations

import fcntl
import os
import sqlite3
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from headless.adapters.sqlite_schema import APPLICATION_ID, SCHEMA, SCHEMA_VERSION, UPGRADES
from headless.errors import DiskFull, HeadlessError, QueueUnavailable, UsageError

MEMORY: Final = ":memory:"
_NOT_OURS: Final = frozenset({sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB})
# SQLite says "full" for ENOSPC alone; a quota or a size limit shows as a failed write.
_NO_ROOM: Final = frozenset({sqlite3.SQLITE_IOERR_WRITE, sqlite3.SQLITE_IOERR_SHMSIZE})
_BUGS: Final = frozenset({sqlite3.SQLITE_CONSTRAINT, sqlite3.SQLITE_MISUSE, sqlite3.SQLITE_RANGE})
_NOT_WRITABLE: Final = frozenset({sqlite3.SQLITE_READONLY, sqlite3.SQLITE_PERM, sqlite3.SQLITE_AUTH})
_WAIT_AND_RETRY: Final = frozenset(
    {
        sqlite3.SQLITE_BUSY,
        sqlite3.SQLITE_LOCKED,
        sqlite3.SQLITE_PROTOCOL,
        sqlite3.SQLITE_IOERR,
        sqlite3.SQLITE_CANTOPEN,
        sqlite3.SQLITE_INTERRUPT,
        sqlite3.SQLITE_NOMEM,
    }
)


class SqliteFile:
    """A connection that threads share in turn; other processes open their own.

    `path` is a file or `:memory:`. `busy_seconds` is how long a call waits for another process's write.
    Raises `UsageError` when the file cannot be ours, and the errors of `translated` from every transaction.
    """

    def __init__(self, path: Path | str, busy_seconds: float = 15.0) -> None:
        self.path = path if path == MEMORY else str(Path(path).absolute())
        self._lock = threading.Lock()
        self._connection: sqlite3.Connection | None = self._open(busy_seconds)

    @contextmanager
    def transaction(self) -> Iterator[sqlite3.Connection]:
        """Everything inside commits together, or not at all; nobody else writes meanwhile."""
        with self._begun("BEGIN IMMEDIATE") as connection:
            yield connection

    @contextmanager
    def snapshot(self) -> Iterator[sqlite3.Connection]:
        """Reads that see one moment and wait for nobody."""
        with self._begun("BEGIN") as connection:
            yield connection

    def close(self) -> None:
        """Close the connection; a second time is harmless."""
        with self._lock:
            connection, self._connection = self._connection, None
            if connection is not None:
                connection.close()

    @contextmanager
    def _begun(self, begin: str) -> Iterator[sqlite3.Connection]:
        with self._lock, translated(self.path):
            connection = self._connection
            if connection is None:
                raise QueueUnavailable(f"the queue {self.path} was closed; open it again")
            try:
                connection.execute(begin)
                yield connection
                connection.execute("COMMIT")
            except BaseException:
                if connection.in_transaction:
                    connection.execute("ROLLBACK")
                raise

    def _open(self, busy_seconds: float) -> sqlite3.Connection:
        if self.path == MEMORY:
            with translated(self.path):
                connection = _connect(self.path, busy_seconds)
                _create(connection)
                return connection
        _make_folder(Path(self.path))
        with translated(self.path, opening=True), _one_at_a_time(Path(self.path).parent):
            _refuse_orphaned_log(Path(self.path))
            connection = _connect(self.path, busy_seconds)
            try:
                _adopt(connection, self.path)
            except BaseException:
                connection.close()
                raise
            return connection


@contextmanager
def translated(path: str, *, opening: bool = False) -> Iterator[None]:
    """Turn SQLite's errors into ours; the message names the file and says what to do."""
    try:
        yield
    except sqlite3.Error as error:
        extended: int = getattr(error, "sqlite_errorcode", sqlite3.SQLITE_MISUSE)
        if extended & 0xFF in _BUGS:
            raise
        raise _translate(path, error, extended, opening) from error


def _translate(path: str, error: sqlite3.Error, extended: int, opening: bool) -> HeadlessError:
    code = extended & 0xFF
    if code in _NOT_OURS:
        return UsageError(
            f"{path} is not a queue of this program, or it is damaged ({error}); "
            "restore it from a backup, or move it away and a new queue is created"
        )
    if code in _NOT_WRITABLE or (opening and code == sqlite3.SQLITE_CANTOPEN):
        return UsageError(
            f"the queue {path} cannot be opened for writing ({error}); check its owner and permissions"
        )
    if code == sqlite3.SQLITE_FULL or extended in _NO_ROOM:
        return DiskFull(
            f"there is no room for the queue {path} ({error}); free some space or raise the quota"
        )
    if code in _WAIT_AND_RETRY:
        return QueueUnavailable(
            f"the queue {path} did not answer ({error}); another process may hold it, or its disk fails; "
            "try again, and if this goes on look for a stopped process that has it open"
        )
    return UsageError(f"the queue {path} does not understand this version of the program: {error}")


def _connect(path: str, busy_seconds: float) -> sqlite3.Connection:
    connection = sqlite3.connect(path, timeout=busy_seconds, isolation_level=None, check_same_thread=False)
    try:
        connection.row_factory = sqlite3.Row
        connection.execute("PRAGMA foreign_keys = ON")
        connection.execute("PRAGMA trusted_schema = OFF")
        # After a power cut a lower setting may forget a claim, and its fence would be given out twice.
        connection.execute("PRAGMA synchronous = FULL")
    except BaseException:
        connection.close()
        raise
    return connection


def _make_folder(path: Path) -> None:
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UsageError(
            f"the folder {path.parent} of the queue cannot be created ({error.strerror}); choose another one"
        ) from error
    if path.is_dir():
        raise UsageError(f"the queue {path} is a folder; name a file")


@contextmanager
def _one_at_a_time(folder: Path) -> Iterator[None]:
    """Processes that open the file together create it once; the folder's lock dies with its holder."""
    try:
        descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    except OSError as error:
        raise UsageError(f"the folder {folder} of the queue cannot be read ({error.strerror})") from error
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)


def _refuse_orphaned_log(path: Path) -> None:
    """A write-ahead log without its database would be replayed into the new one and damage it."""
    log = path.with_name(path.name + "-wal")
    if not path.exists() and log.exists() and log.stat().st_size > 0:
        raise UsageError(
            f"the queue {path} is gone but its log {log} is there; put the file back, or delete the log too"
        )


def _adopt(connection: sqlite3.Connection, path: str) -> None:
    """Create the tables in an empty file; refuse one that another program or a newer version wrote."""
    (tables,) = connection.execute("SELECT count(*) FROM sqlite_schema").fetchone()
    (application,) = connection.execute("PRAGMA application_id").fetchone()
    (version,) = connection.execute("PRAGMA user_version").fetchone()
    if application == 0 and tables == 0:
        _use_write_ahead_log(connection, path)
        _create(connection)
    elif application != APPLICATION_ID:
        raise UsageError(f"{path} is a database of another program; choose another file for the queue")
    elif version in UPGRADES:
        _upgrade(connection, version)
    elif version != SCHEMA_VERSION:
        raise UsageError(
            f"the queue {path} has schema version {version}, and this program knows {SCHEMA_VERSION}; "
            "use the version of the program that wrote it, or choose another file"
        )


def _use_write_ahead_log(connection: sqlite3.Connection, path: str) -> None:
    (mode,) = connection.execute("PRAGMA journal_mode = WAL").fetchone()
    if mode != "wal":
        raise UsageError(
            f"the file system of {path} cannot share a SQLite database between processes; use a local disk"
        )


def _create(connection: sqlite3.Connection) -> None:
    connection.executescript(
        f"BEGIN IMMEDIATE; {SCHEMA} PRAGMA application_id = {APPLICATION_ID};"
        f" PRAGMA user_version = {SCHEMA_VERSION}; COMMIT;"
    )


def _upgrade(connection: sqlite3.Connection, version: int) -> None:
    """Every step to this program's version, or none of them."""
    steps = " ".join(UPGRADES[step] for step in range(version, SCHEMA_VERSION))
    connection.executescript(f"BEGIN IMMEDIATE; {steps} PRAGMA user_version = {SCHEMA_VERSION}; COMMIT;")
