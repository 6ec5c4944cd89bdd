"""A Supabase project on this machine, for tests and demos: `python -m tests.supabase.stack` runs one.

PostgreSQL, PostgREST and the resumable uploads are the real servers; the gateway and the rest of the storage
server are a stand-in (tests/supabase/stand_in). Everything listens on 127.0.0.1 or on sockets in a temporary
folder, and is gone when the stack is closed or its process ends.
"""

from __future__ import annotations

import atexit
import functools
import json
import secrets
import shutil
import signal
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

import httpx
import psycopg

from tests.supabase import tokens
from tests.supabase.cluster import Cluster
from tests.supabase.processes import Server
from tests.supabase.tools import STAND_IN, Tools

DATABASE = "queue"


@dataclass(frozen=True)
class Keys:
    """The keys of one project: the opaque ones, and the secret that signs tokens and the older keys."""

    jwt_secret: str
    secret: str
    publishable: str

    @classmethod
    def make(cls) -> Keys:
        """Fresh keys."""
        return cls(
            secrets.token_hex(32),
            f"sb_secret_{secrets.token_hex(16)}",
            f"sb_publishable_{secrets.token_hex(16)}",
        )

    @property
    def legacy_service(self) -> str:
        """The older secret key: a token of service_role."""
        return tokens.sign({"role": "service_role", "iss": "supabase"}, self.jwt_secret)

    @property
    def legacy_anon(self) -> str:
        """The older public key: a token of anon."""
        return tokens.sign({"role": "anon", "iss": "supabase"}, self.jwt_secret)

    def user(self, user_id: str, seconds: float = 3600) -> str:
        """A signed-in user's access token."""
        return tokens.sign(tokens.user_claims(user_id, seconds), self.jwt_secret)

    def worker(self) -> str:
        """A token of the role gpu_worker."""
        return tokens.sign({"role": "gpu_worker", "exp": int(time.time()) + 3600}, self.jwt_secret)


class Stack:
    """A running project; `close` it, or use it as a context. `durable`: see `Cluster`."""

    def __init__(self, port: int = 0, *, durable: bool = False) -> None:
        tools = Tools.find()
        self.keys = Keys.make()
        self.folder = Path(tempfile.mkdtemp(prefix="supabase-"))
        with ExitStack() as opened:
            opened.callback(shutil.rmtree, self.folder)
            (self.folder / "pg").mkdir()
            self.folder.chmod(0o711)
            self.cluster = Cluster(tools, self.folder / "pg", durable=durable)
            opened.callback(self.cluster.stop)
            self.cluster.create_database(DATABASE)
            self.cluster.migrate(DATABASE)
            self._postgrest = self._start_postgrest(tools)
            opened.callback(self._postgrest.stop)
            self._gateway = self._start_gateway(tools, port)
            opened.callback(self._gateway.stop)
            self.url = f"http://127.0.0.1:{self._gateway_port()}"
            self._await_rest()
            self._opened = opened.pop_all()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    @property
    def rest_socket(self) -> str:
        """PostgREST's own socket, for a client that wants no gateway in between."""
        return str(self.folder / "rest.sock")

    @property
    def dsn(self) -> str:
        """How to reach the database directly, as its owner."""
        return f"host={self.cluster.folder} dbname={DATABASE} user=postgres"

    def sql(self, query: str, *values: object) -> list[tuple[Any, ...]]:
        """Run a statement as the superuser, past row level security and triggers; its rows."""
        with self._connect() as connection:
            connection.execute("set session_replication_role = replica")
            cursor = connection.execute(query, values or None)
            return cursor.fetchall() if cursor.description else []

    def advance(self, seconds: float) -> None:
        """Let time pass: the moments that decide about unfinished tasks move into the past."""
        columns = ("created_at", "run_after", "lease_expires_at", "progressed_at")
        changes = ", ".join(f"{column} = {column} - make_interval(secs => %s)" for column in columns)
        self.sql(
            f"update public.tasks set {changes} where status in ('Queued', 'In Progress')",
            *([seconds] * len(columns)),
        )

    def reset(self) -> None:
        """Forget all tasks and files; settings as they were."""
        self.sql(
            "delete from public.task_outputs; delete from public.task_segments; "
            "delete from public.task_attempts; delete from public.tasks; delete from public.workers; "
            "delete from storage.objects; "
            "delete from gpu_queue.settings; insert into gpu_queue.settings default values"
        )
        shutil.rmtree(self.folder / "objects", ignore_errors=True)

    def close(self) -> None:
        """Stop every server and remove the folder."""
        self._opened.close()

    def _connect(self) -> psycopg.Connection[Any]:
        return self.cluster.connect(DATABASE)

    def _start_postgrest(self, tools: Tools) -> Server:
        return Server(
            [str(tools.postgrest)],
            self.folder,
            environment={
                "PGRST_DB_URI": f"postgres:///{DATABASE}?host={self.cluster.folder}&user=authenticator",
                "PGRST_DB_SCHEMAS": "public",
                "PGRST_DB_ANON_ROLE": "anon",
                "PGRST_DB_POOL": "24",
                "PGRST_JWT_SECRET": self.keys.jwt_secret,
                "PGRST_SERVER_UNIX_SOCKET": self.rest_socket,
                "PGRST_LOG_LEVEL": "error",
            },
        )

    def _start_gateway(self, tools: Tools, port: int) -> Server:
        settings = self.folder / "gateway.json"
        settings.touch(mode=0o600)
        settings.write_text(
            json.dumps(
                {
                    "modules": str(tools.node_packages),
                    "database": {
                        "host": str(self.cluster.folder),
                        "database": DATABASE,
                        "user": "supabase_storage_admin",
                    },
                    "postgrest": self.rest_socket,
                    "folder": str(self.folder / "objects"),
                    "jwtSecret": self.keys.jwt_secret,
                    "secretKey": self.keys.secret,
                    "publishableKey": self.keys.publishable,
                    "port": port,
                }
            )
        )
        return Server([str(tools.node), str(STAND_IN / "server.mjs"), str(settings)], self.folder)

    def _gateway_port(self) -> int:
        for _ in _attempts():
            lines = self._gateway.log.read_text().splitlines()
            if lines and lines[0].startswith('{"port"'):
                return int(json.loads(lines[0])["port"])
        raise RuntimeError(f"the gateway did not start: {self._gateway.log.read_text()[-2000:]}")

    def _await_rest(self) -> None:
        for _ in _attempts():
            headers = {"apikey": self.keys.publishable}
            if httpx.get(f"{self.url}/rest/v1/", headers=headers, timeout=5).is_success:
                return
        raise RuntimeError(f"PostgREST did not start: {self._postgrest.log.read_text()[-2000:]}")


def _attempts() -> Iterator[None]:
    """Rounds of waiting for a server to start: 30 seconds in all."""
    deadline = time.monotonic() + 30
    while time.monotonic() < deadline:
        yield
        time.sleep(0.02)


@functools.cache
def shared_stack() -> Stack:
    """One project for all tests of this process, stopped at its end."""
    stack = Stack()
    atexit.register(stack.close)
    return stack


def main() -> None:
    """Run a project until interrupted; its address and keys are printed as shell assignments."""
    done = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: done.set())
    port = int(sys.argv[1]) if len(sys.argv) > 1 else 0
    with Stack(port) as stack:
        user = "00000000-0000-4000-8000-000000000001"
        for name, value in {
            "SUPABASE_URL": stack.url,
            "SUPABASE_SECRET_KEY": stack.keys.secret,
            "SUPABASE_ANON_KEY": stack.keys.publishable,
            "SUPABASE_ACCESS_TOKEN": stack.keys.user(user, 86400),
            "SUPABASE_WORKER_TOKEN": stack.keys.worker(),
            "SUPABASE_DSN": f"'{stack.dsn}'",
        }.items():
            sys.stdout.write(f"{name}={value}\n")
        sys.stdout.flush()
        done.wait()


if __name__ == "__main__":
    main()
