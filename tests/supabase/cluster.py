"""A throw-away PostgreSQL: its own folder, a socket instead of a port, gone afterwards."""

from __future__ import annotations

import os
import secrets
import signal
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psycopg

from tests.supabase.processes import Server, unprivileged_user
from tests.supabase.tools import REPOSITORY, Tools

MIGRATIONS = REPOSITORY / "supabase" / "migrations"
SHIM = Path(__file__).parent / "shim.sql"
SUPERUSER = "supabase_admin"
_SETTINGS = {
    "listen_addresses": "",
    "fsync": "off",
    "full_page_writes": "off",
    "max_connections": "100",
    "shared_buffers": "64MB",
    "wal_level": "logical",
    "deadlock_timeout": "200ms",
}


class Cluster:
    """PostgreSQL in `folder`, which must be empty and belong to nobody else.

    `durable` commits to the disk, as a server in production does.
    """

    def __init__(
        self, tools: Tools, folder: Path, *, superuser: str = SUPERUSER, durable: bool = False
    ) -> None:
        self.folder = folder
        self._settings = _SETTINGS | ({"fsync": "on", "full_page_writes": "on"} if durable else {})
        self.superuser = superuser
        self._bin = tools.postgres_bin
        self._user = unprivileged_user()
        if self._user:
            subprocess.run(["chown", self._user, str(folder)], check=True)
        self._initialise()
        self._server = self._start()

    def connect(self, database: str = "postgres", user: str | None = None) -> psycopg.Connection[Any]:
        """A connection on which every statement commits by itself."""
        return psycopg.connect(
            host=str(self.folder), dbname=database, user=user or self.superuser, autocommit=True
        )

    def create_database(self, name: str) -> None:
        """An empty database with what a hosted project has before its first migration."""
        with self.connect() as connection:
            connection.execute(f'create database "{name}"')
        self.run_file(name, SHIM, self.superuser)

    @contextmanager
    def another_database(self) -> Iterator[str]:
        """A migrated database that no server looks at: migrations there reload nobody's schema."""
        name = f"another_{secrets.token_hex(4)}"
        self.create_database(name)
        self.migrate(name)
        try:
            yield name
        finally:
            with self.connect() as connection:
                connection.execute(f'drop database "{name}" with (force)')

    def migrate(self, database: str, user: str = "postgres") -> None:
        """Apply every migration in order, each in one transaction."""
        for path in sorted(MIGRATIONS.glob("*.sql")):
            self.run_file(database, path, user)

    def run_file(self, database: str, path: Path, user: str) -> None:
        """Run a file of SQL in one transaction; an error names the file."""
        with self.connect(database, user) as connection, connection.transaction():
            try:
                connection.execute(path.read_text(encoding="utf-8"))
            except psycopg.Error as error:
                error.add_note(str(path))
                raise

    def restart(self, *, immediate: bool = False) -> None:
        """Stop and start the server; `immediate` is a crash: no checkpoint, clients cut off."""
        if immediate:
            os.kill(self._postmaster(), signal.SIGQUIT)
            self._await_gone()
        self._server.stop()
        self._server = self._start()

    def terminate_backends(self, database: str) -> int:
        """Cut off every client of a database; how many there were."""
        with self.connect() as connection:
            row = connection.execute(
                "select count(pg_terminate_backend(pid)) from pg_stat_activity where datname = %s",
                (database,),
            ).fetchone()
        assert row is not None
        return int(row[0])

    def stop(self) -> None:
        """Shut down."""
        self._server.stop()

    def _initialise(self) -> None:
        command = [
            str(self._bin / "initdb"),
            *("-D", str(self.folder / "data"), "-U", self.superuser, "-A", "trust"),
            *("--no-sync", "--encoding=UTF8", "--locale=C"),
        ]
        if self._user:
            command = ["runuser", "-u", self._user, "--", *command]
        subprocess.run(command, check=True, capture_output=True, cwd=self.folder)

    def _start(self) -> Server:
        options = [f"--{name}={value}" for name, value in self._settings.items()]
        server = Server(
            [
                str(self._bin / "postgres"),
                *("-D", str(self.folder / "data"), "-k", str(self.folder)),
                *options,
            ],
            self.folder,
            user=self._user,
            stop_signal=signal.SIGINT,
        )
        self._await_ready(server)
        return server

    def _await_ready(self, server: Server) -> None:
        deadline = time.monotonic() + 30
        while time.monotonic() < deadline:
            try:
                self.connect().close()
            except psycopg.OperationalError:
                time.sleep(0.02)
            else:
                return
        raise RuntimeError(f"PostgreSQL did not start: {server.log.read_text(errors='replace')[-2000:]}")

    def _postmaster(self) -> int:
        return int((self.folder / "data" / "postmaster.pid").read_text().split("\n", 1)[0])

    def _await_gone(self) -> None:
        deadline = time.monotonic() + 30
        while (self.folder / "data" / "postmaster.pid").exists():
            if time.monotonic() > deadline:
                raise RuntimeError("PostgreSQL did not stop")
            time.sleep(0.01)
