"""Where a soak takes place: a site of the crash tests, with a witness inside its database."""

from __future__ import annotations

import abc
import contextlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psycopg

from headless.errors import QueueUnavailable
from tests.crash.sites import LocalSite, Site, SupabaseSite
from tests.soak.faults import Kind
from tests.soak.journal import SQLITE_JOURNAL, SUPABASE_JOURNAL
from tests.soak.options import SoakOptions
from tests.supabase.stack import DATABASE, Stack


class Ground(abc.ABC):
    """A queue and a storage that a soak has for itself."""

    site: Site
    has_database: bool
    """Whether there is a database that can be restarted."""
    attempt_column: str
    journal_table: str

    @abc.abstractmethod
    def query(self, text: str) -> list[tuple[Any, ...]]:
        """Rows, past the product's own calls. `QueueUnavailable` while the database is away."""

    @abc.abstractmethod
    def lease_flags(self) -> list[str]:
        """What tells a worker how long its lease is, where it is the worker that must know."""

    @abc.abstractmethod
    def disturb(self, kind: Kind) -> None:
        """Restart the database, or cut it off from everybody."""

    def census(self) -> dict[str, int]:
        """How many tasks there are of each status."""
        return dict(self.query("select status, count(*) from tasks group by status"))


class LocalGround(Ground):
    """A folder."""

    has_database = False
    attempt_column = "fence"
    journal_table = "soak_journal"

    def __init__(self, folder: Path, lease_seconds: float) -> None:
        self.site: LocalSite = LocalSite(folder)
        self._lease = lease_seconds
        with self.site.sqlite.file.transaction() as db:
            for statement in SQLITE_JOURNAL:
                db.execute(statement)

    def query(self, text: str) -> list[tuple[Any, ...]]:
        with self.site.sqlite.file.snapshot() as db:
            return [tuple(row) for row in db.execute(text)]

    def lease_flags(self) -> list[str]:
        return ["--lease-seconds", str(self._lease)]

    def disturb(self, kind: Kind) -> None:
        raise NotImplementedError(f"{kind}: a folder has no database server")


class SupabaseGround(Ground):
    """A Supabase project of its own."""

    has_database = True
    attempt_column = "attempt"
    journal_table = "soak.journal"

    def __init__(self, folder: Path, stack: Stack, lease_seconds: float) -> None:
        self._stack = stack
        self.site = SupabaseSite(folder, stack)
        stack.sql("update gpu_queue.settings set lease_seconds = %s", lease_seconds)
        stack.sql(SUPABASE_JOURNAL)

    def query(self, text: str) -> list[tuple[Any, ...]]:
        try:
            return self._stack.sql(text)
        except psycopg.OperationalError as error:
            raise QueueUnavailable(f"the database does not answer: {error}") from error

    def lease_flags(self) -> list[str]:
        return []

    def disturb(self, kind: Kind) -> None:
        if kind is Kind.CUT:
            self._stack.cluster.terminate_backends(DATABASE)
        else:
            self._stack.cluster.restart(immediate=kind is Kind.CRASH)


@contextlib.contextmanager
def open_ground(options: SoakOptions, folder: Path) -> Iterator[Ground]:
    """The ground that the options name; `folder` is new."""
    with contextlib.ExitStack() as opened:
        ground: Ground
        if options.backend == "sqlite":
            ground = LocalGround(folder, options.lease_seconds)
        else:
            stack = opened.enter_context(Stack())
            ground = SupabaseGround(folder, stack, options.lease_seconds)
        opened.callback(ground.site.close)
        yield ground
