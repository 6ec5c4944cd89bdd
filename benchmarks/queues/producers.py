"""Who queues tasks for real workers: one open connection per queue."""

from __future__ import annotations

import asyncio
from types import TracebackType
from typing import Any, Protocol, Self

import asyncpg
import procrastinate
from pgqueuer.adapters.persistence.queries import Queries
from pgqueuer.db import AsyncpgDriver

from benchmarks.queues.rig import job
from benchmarks.queues.sides import ENTRYPOINT, PGQUEUER, PROCRASTINATE, Addresses, asyncpg_url, our_queue
from headless.task import NewTask


class _Client(Protocol):
    def enqueue(self, label: str) -> None: ...

    def close(self) -> None: ...


class Producer:
    """`with Producer(name, at) as producer: producer.enqueue("a")`"""

    def __init__(self, name: str, at: Addresses) -> None:
        clients: dict[str, type[_Procrastinate | _Pgqueuer]] = {
            PROCRASTINATE: _Procrastinate,
            PGQUEUER: _Pgqueuer,
        }
        self._client: _Client = clients[name](at) if name in clients else _Ours(name, at)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._client.close()

    def enqueue(self, label: str) -> None:
        """Queue one task that the journal will know by its label."""
        self._client.enqueue(label)


class _Ours:
    def __init__(self, name: str, at: Addresses) -> None:
        self._queue = our_queue(name, at)
        self._queue.queued()  # Connects.

    def enqueue(self, label: str) -> None:
        self._queue.enqueue(NewTask(params=job(label, 1)))

    def close(self) -> None:
        self._queue.close()


class _Procrastinate:
    def __init__(self, at: Addresses) -> None:
        self._runner = asyncio.Runner()
        self._app = procrastinate.App(
            connector=procrastinate.PsycopgConnector(conninfo=at.dsn, min_size=1, max_size=1)
        )
        self._runner.run(self._open())

    async def _open(self) -> None:
        await self._app.open_async()

    def enqueue(self, label: str) -> None:
        self._runner.run(self._app.configure_task(ENTRYPOINT).defer_async(label=label))

    def close(self) -> None:
        self._runner.run(self._app.close_async())
        self._runner.close()


class _Pgqueuer:
    def __init__(self, at: Addresses) -> None:
        self._runner = asyncio.Runner()
        self._connection: Any = self._runner.run(self._connect(at))
        self._queries = Queries(AsyncpgDriver(self._connection))

    async def _connect(self, at: Addresses) -> Any:
        return await asyncpg.connect(asyncpg_url(at.dsn))

    def enqueue(self, label: str) -> None:
        self._runner.run(self._queries.enqueue(ENTRYPOINT, label.encode()))

    def close(self) -> None:
        self._runner.run(self._connection.close())
        self._runner.close()
