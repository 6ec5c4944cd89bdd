"""The queues that are compared, each called as its own worker calls it."""

from __future__ import annotations

import asyncio
import time
import uuid
from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any, Protocol

import asyncpg
import httpx
import procrastinate
from pgqueuer.adapters.persistence.queries import Queries
from pgqueuer.db import AsyncpgDriver
from pgqueuer.domain.types import QueueEntrypoint, QueueManagerId
from pgqueuer.models import Job
from pgqueuer.ports.repository import EntrypointExecutionParameter
from procrastinate.jobs import Status

from headless.adapters.sqlite_queue import SqliteQueue
from headless.adapters.supabase_client import connect
from headless.adapters.supabase_queue import SupabaseQueue
from headless.ports import TaskQueue
from headless.task import Capability, CompleteAnswer

POSTGREST = "ours, PostgREST"
GATEWAY = "ours, PostgREST behind a gateway"
SQLITE = "ours, SQLite"
PROCRASTINATE = "procrastinate"
PGQUEUER = "pgqueuer"
NAMES = (POSTGREST, GATEWAY, SQLITE, PROCRASTINATE, PGQUEUER)
ENTRYPOINT = "generate"


@dataclass(frozen=True)
class Addresses:
    """Where the servers and files are. `dsn` is the database of procrastinate and pgqueuer."""

    url: str
    secret_key: str
    service_token: str
    rest_socket: str
    sqlite: Path
    dsn: str


class Side(Protocol):
    """One connection of one worker to one queue."""

    def claim(self) -> float:
        """Claim one task, finish it, and return the seconds that the claim took."""

    def cycles(self, seconds: float) -> int:
        """Claim and finish one task after another for so long; how many."""

    def close(self) -> None:
        """Let go of the connection."""


class PlainPostgrest(httpx.HTTPTransport):
    """To PostgREST's own socket: what a project's gateway would strip from a path is stripped here."""

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        """Send."""
        request.url = request.url.copy_with(raw_path=request.url.raw_path.removeprefix(b"/rest/v1"))
        return super().handle_request(request)


def our_queue(name: str, at: Addresses, lease_seconds: float = 60.0) -> TaskQueue:
    """One of our three; on PostgreSQL the lease is the project's setting."""
    if name == SQLITE:
        return SqliteQueue(at.sqlite, lease_seconds=lease_seconds)
    if name == GATEWAY:
        return SupabaseQueue(connect(at.url, at.secret_key))
    transport = PlainPostgrest(uds=at.rest_socket)
    return SupabaseQueue(connect("http://postgrest", at.service_token, transport=transport))


def open_side(name: str, at: Addresses) -> Side:
    """A connection to the queue of that name."""
    if name == PROCRASTINATE:
        return ProcrastinateSide(at.dsn)
    if name == PGQUEUER:
        return PgqueuerSide(at.dsn)
    return OurSide(our_queue(name, at))


class OurSide:
    """`claim` and `complete` of a queue of ours."""

    def __init__(self, queue: TaskQueue) -> None:
        self._queue = queue
        self._worker = uuid.uuid4().hex

    def claim(self) -> float:
        """See `Side`."""
        began = time.perf_counter()
        claim = self._queue.claim(self._worker, str(uuid.uuid4()), Capability())
        took = time.perf_counter() - began
        assert claim is not None, "no task is left"
        video = f"{claim.output_prefix}/video.mp4"
        answer = self._queue.complete(claim.task_id, claim.attempt, video, "0" * 64, {})
        assert answer is CompleteAnswer.DONE
        return took

    def cycles(self, seconds: float) -> int:
        """See `Side`."""
        return _repeat(self.claim, seconds)

    def close(self) -> None:
        """See `Side`."""
        self._queue.close()


def _repeat(work: Callable[[], object], seconds: float) -> int:
    count, until = 0, time.perf_counter() + seconds
    while time.perf_counter() < until:
        work()
        count += 1
    return count


class AsyncSide(ABC):
    """A queue whose client is asynchronous; times are taken inside its loop."""

    def __init__(self) -> None:
        self._runner = asyncio.Runner()
        self._runner.run(self._open())

    @abstractmethod
    async def _open(self) -> None: ...

    @abstractmethod
    async def _claim(self) -> Any: ...

    @abstractmethod
    async def _finish(self, job: Any) -> None: ...

    @abstractmethod
    async def _close(self) -> None: ...

    async def _cycle(self) -> float:
        began = time.perf_counter()
        job = await self._claim()
        took = time.perf_counter() - began
        assert job is not None, "no task is left"
        await self._finish(job)
        return took

    async def _cycles(self, seconds: float) -> int:
        count, until = 0, time.perf_counter() + seconds
        while time.perf_counter() < until:
            await self._cycle()
            count += 1
        return count

    def claim(self) -> float:
        """See `Side`."""
        return self._runner.run(self._cycle())

    def cycles(self, seconds: float) -> int:
        """See `Side`."""
        return self._runner.run(self._cycles(seconds))

    def close(self) -> None:
        """See `Side`."""
        self._runner.run(self._close())
        self._runner.close()


class ProcrastinateSide(AsyncSide):
    """`fetch_job` and `finish_job`, as its worker calls them; jobs are kept, as by default."""

    def __init__(self, dsn: str) -> None:
        self._app = procrastinate.App(
            connector=procrastinate.PsycopgConnector(conninfo=dsn, min_size=1, max_size=2)
        )
        super().__init__()

    async def _open(self) -> None:
        await self._app.open_async()
        self._worker = await self._app.job_manager.register_worker()

    async def _claim(self) -> Any:
        return await self._app.job_manager.fetch_job(queues=None, worker_id=self._worker)

    async def _finish(self, job: Any) -> None:
        await self._app.job_manager.finish_job(job=job, status=Status.SUCCEEDED, delete_job=False)

    async def _close(self) -> None:
        await self._app.job_manager.unregister_worker(self._worker)
        await self._app.close_async()


class PgqueuerSide(AsyncSide):
    """`dequeue` of one job, and the log entry that finishes it, over one asyncpg connection as it advises."""

    def __init__(self, dsn: str) -> None:
        self._dsn = dsn
        self._manager = QueueManagerId(uuid.uuid4())
        super().__init__()

    async def _open(self) -> None:
        self._connection = await asyncpg.connect(asyncpg_url(self._dsn))
        self._queries = Queries(AsyncpgDriver(self._connection))

    async def _claim(self) -> Job | None:
        jobs = await self._queries.dequeue(
            batch_size=1,
            entrypoints={QueueEntrypoint(ENTRYPOINT): EntrypointExecutionParameter(concurrency_limit=0)},
            queue_manager_id=self._manager,
            global_concurrency_limit=None,
            heartbeat_timeout=timedelta(seconds=30),
        )
        return jobs[0] if jobs else None

    async def _finish(self, job: Any) -> None:
        await self._queries.log_jobs([(job, "successful", None)])

    async def _close(self) -> None:
        await self._connection.close()


def asyncpg_url(dsn: str) -> str:
    """The words of libpq as a URL, which is what asyncpg reads."""
    words = dict(word.split("=", 1) for word in dsn.split())
    return f"postgresql://{words['user']}@/{words['dbname']}?host={words['host']}"
