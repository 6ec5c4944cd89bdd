"""The servers of a run: one PostgreSQL for all, PostgREST and a gateway for ours, a file for SQLite."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Iterator
from pathlib import Path

import asyncpg
import procrastinate
import psycopg
from pgqueuer.adapters.persistence.queries import Queries
from pgqueuer.db import AsyncpgDriver
from procrastinate.types import JSONDict

from benchmarks.queues.sides import (
    ENTRYPOINT,
    GATEWAY,
    PGQUEUER,
    POSTGREST,
    PROCRASTINATE,
    SQLITE,
    Addresses,
    asyncpg_url,
)
from headless.adapters import sqlite_tasks
from headless.adapters.sqlite_queue import SqliteQueue
from headless.task import NewTask
from tests.supabase.stack import DATABASE, Stack

RIVALS = "rivals"


class Servers:
    """Everything that runs; `at` says where. PostgreSQL commits to the disk, and its defaults are used."""

    def __init__(self, stack: Stack, folder: Path) -> None:
        self.stack = stack
        self.folder = folder
        with stack.cluster.connect() as connection:
            connection.execute(f'create database "{RIVALS}"')
        user = stack.cluster.superuser
        self.at = Addresses(
            url=stack.url,
            secret_key=stack.keys.secret,
            service_token=stack.keys.legacy_service,
            rest_socket=stack.rest_socket,
            sqlite=folder / "queue.sqlite3",
            dsn=f"host={stack.cluster.folder} dbname={RIVALS} user={user}",
        )
        asyncio.run(self._install())
        SqliteQueue(self.at.sqlite).close()

    @property
    def postgres_version(self) -> str:
        """As it calls itself."""
        return str(self.stack.sql("show server_version")[0][0]).split()[0]

    def database(self, name: str) -> str:
        """In which database a queue lies."""
        return DATABASE if name in (POSTGREST, GATEWAY) else RIVALS

    def fill(self, name: str, waiting: int) -> None:
        """Bring the number of waiting tasks up to this."""
        missing = waiting - self.waiting(name)
        if missing <= 0:
            return
        if name == SQLITE:
            self._fill_sqlite(missing)
        elif name == PROCRASTINATE:
            asyncio.run(self._defer([""] * missing))
        elif name == PGQUEUER:
            asyncio.run(self._enqueue([b""] * missing))
        else:
            self.stack.sql(
                "insert into public.tasks (params) select '{}' from generate_series(1, %s)", missing
            )

    def waiting(self, name: str) -> int:
        """How many tasks nobody has claimed."""
        if name == SQLITE:
            with contextlib.closing(SqliteQueue(self.at.sqlite)) as queue:
                return queue.queued()
        return self._count(
            {
                PROCRASTINATE: "procrastinate_jobs where status = 'todo' and queue_name = 'default'",
                PGQUEUER: "pgqueuer where status = 'queued'",
            }.get(name, "public.tasks where status = 'Queued'"),
            name,
        )

    def complete(self, name: str) -> int:
        """How many tasks are finished well."""
        if name == SQLITE:
            with contextlib.closing(SqliteQueue(self.at.sqlite)) as queue, queue.file.snapshot() as db:
                return int(db.execute("select count(*) from tasks where status = 'Complete'").fetchone()[0])
        return self._count(
            {
                PROCRASTINATE: "procrastinate_jobs where status = 'succeeded' and queue_name = 'default'",
                PGQUEUER: "pgqueuer_log where status = 'successful'",
            }.get(name, "public.tasks where status = 'Complete'"),
            name,
        )

    def clear(self) -> None:
        """Forget all tasks, and tidy up as a database at rest would."""
        self.stack.reset()
        with contextlib.closing(SqliteQueue(self.at.sqlite)) as queue, queue.file.transaction() as db:
            for table in ("task_outputs", "task_segments", "task_attempts", "tasks"):
                db.execute(f"delete from {table}")  # noqa: S608 - names of our own
        with psycopg.connect(self.at.dsn, autocommit=True) as connection:
            connection.execute(
                "truncate procrastinate_jobs, procrastinate_events, procrastinate_periodic_defers"
            )
            connection.execute("truncate pgqueuer, pgqueuer_log, pgqueuer_statistics")
        self.analyze()

    def analyze(self) -> None:
        """Give every planner statistics of what is there now."""
        for database in (DATABASE, RIVALS):
            with self.stack.cluster.connect(database) as connection:
                connection.execute("vacuum analyze")

    def _count(self, rows: str, name: str) -> int:
        with self.stack.cluster.connect(self.database(name)) as connection:
            row = connection.execute(f"select count(*) from {rows}").fetchone()  # noqa: S608 - our own
        assert row is not None
        return int(row[0])

    def _fill_sqlite(self, count: int) -> None:
        with contextlib.closing(SqliteQueue(self.at.sqlite)) as queue, queue.file.transaction() as db:
            for _ in range(count):
                sqlite_tasks.enqueue(db, 0.0, "local", NewTask(params={}), "{}")

    async def _install(self) -> None:
        async with self._app().open_async() as app:
            await app.schema_manager.apply_schema_async()
        connection = await asyncpg.connect(asyncpg_url(self.at.dsn))
        queries = Queries(AsyncpgDriver(connection))
        await queries.install()
        await queries.optimize_autovacuum()
        await connection.close()

    def _app(self) -> procrastinate.App:
        return procrastinate.App(connector=procrastinate.PsycopgConnector(conninfo=self.at.dsn))

    async def _defer(self, labels: list[str]) -> None:
        async with self._app().open_async() as app:
            kwargs: list[JSONDict] = [{"label": label} for label in labels]
            await app.configure_task(ENTRYPOINT).batch_defer_async(*kwargs)

    async def _enqueue(self, payloads: list[bytes]) -> None:
        connection = await asyncpg.connect(asyncpg_url(self.at.dsn))
        count = len(payloads)
        await Queries(AsyncpgDriver(connection)).enqueue([ENTRYPOINT] * count, [*payloads], [0] * count)
        await connection.close()


@contextlib.contextmanager
def running(folder: Path) -> Iterator[Servers]:
    """Start everything, and stop it at the end."""
    with Stack(durable=True) as stack:
        yield Servers(stack, folder)
