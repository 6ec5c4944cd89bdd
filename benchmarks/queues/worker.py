"""A worker process of one of the queues: `python -m benchmarks.queues.worker SETTINGS.json NAME`.

Ours is the real one around an engine of a set pace. The others run a task that waits for as long. All of
them work on one task at a time and note in the journal when they begin and when they end it.
"""

from __future__ import annotations

import asyncio
import json
import logging
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import asdict, dataclass
from datetime import timedelta
from pathlib import Path

import structlog

from benchmarks.queues.journal import BEGIN, END, READY, Journal
from benchmarks.queues.sides import ENTRYPOINT, PGQUEUER, PROCRASTINATE, Addresses, asyncpg_url, our_queue


@dataclass(frozen=True)
class Settings:
    """How a crew works. `engine`: seconds of a task; `lease`: silence after which a worker counts as gone;
    `busy` and `idle`: shortest and longest wait between two looks at an empty queue, in seconds."""

    side: str
    at: Addresses
    folder: Path
    journal: Path
    engine: float
    lease: float
    busy: float
    idle: float

    def write(self, path: Path) -> None:
        """As a file."""
        path.write_text(json.dumps(asdict(self), default=str), encoding="utf-8")

    @classmethod
    def read(cls, path: Path) -> Settings:
        """From a file."""
        told = json.loads(path.read_text(encoding="utf-8"))
        at = Addresses(**{**told["at"], "sqlite": Path(told["at"]["sqlite"])})
        return cls(**{**told, "at": at, "folder": Path(told["folder"]), "journal": Path(told["journal"])})


def ours(settings: Settings, name: str) -> None:
    """The real worker."""
    from benchmarks.queues.paced import PacedEngine
    from benchmarks.queues.rig import Rig, registry
    from headless.adapters.local_storage import LocalStorage
    from headless.loop import LoopPolicy

    journal = Journal(settings.journal)
    engine = PacedEngine(
        registry(),
        settings.engine,
        on_begin=lambda label: journal.note(BEGIN, label),
        on_end=lambda label, seconds: journal.note(END, label, seconds),
    )
    queue = our_queue(settings.side, settings.at, settings.lease)
    rig = Rig(settings.folder, name, queue, LocalStorage(settings.folder / "files"), engine)
    rig.shutdown.install()
    rig.workspace.sweep()
    rig.runner.deliver_waiting()
    journal.note(READY)
    rig.loop(LoopPolicy(busy=settings.busy, idle=settings.idle)).run()
    queue.close()


def with_procrastinate(settings: Settings) -> None:
    """Its worker as documented, with the periodic task that retries what stalled workers left behind.

    Documented for every tenth minute, this runs every second, before all else.
    """
    import procrastinate

    journal = Journal(settings.journal)
    app = procrastinate.App(
        connector=procrastinate.PsycopgConnector(conninfo=settings.at.dsn, min_size=1, max_size=4)
    )

    @app.task(name=ENTRYPOINT)
    async def generate(label: str) -> None:
        journal.note(BEGIN, label)
        await asyncio.sleep(settings.engine)
        journal.note(END, label, settings.engine)

    @app.periodic(cron="* * * * * */1")
    @app.task(name="retry_stalled", queue="upkeep", priority=10, queueing_lock="retry", pass_context=True)
    async def retry_stalled(context: procrastinate.JobContext, timestamp: int) -> None:  # noqa: ARG001 - its signature
        manager = app.job_manager
        for job in await manager.get_stalled_jobs(seconds_since_heartbeat=settings.lease):
            await manager.retry_job(job)

    async def work() -> None:
        async with app.open_async():
            journal.note(READY)
            await app.run_worker_async(
                concurrency=1,
                fetch_job_polling_interval=settings.idle,
                update_heartbeat_interval=settings.lease / 3,
                stalled_worker_timeout=settings.lease,
            )

    asyncio.run(work())


def with_pgqueuer(settings: Settings) -> None:
    """Its worker as documented: one connection, and out when the listener fails."""
    import asyncpg
    import pgqueuer
    from pgqueuer.db import AsyncpgDriver
    from pgqueuer.models import Job

    journal = Journal(settings.journal)

    @asynccontextmanager
    async def made() -> AsyncIterator[pgqueuer.PgQueuer]:
        connection = await asyncpg.connect(asyncpg_url(settings.at.dsn))
        manager = pgqueuer.PgQueuer(AsyncpgDriver(connection))
        engine = asyncio.Lock()  # It runs two at the least; the engine takes one.

        @manager.entrypoint(ENTRYPOINT)
        async def generate(job: Job) -> None:
            label = (job.payload or b"").decode()
            async with engine:
                journal.note(BEGIN, label)
                await asyncio.sleep(settings.engine)
                journal.note(END, label, settings.engine)

        journal.note(READY)
        yield manager
        await connection.close()

    asyncio.run(
        pgqueuer.run(
            made,
            dequeue_timeout=timedelta(seconds=settings.idle),
            batch_size=1,
            max_concurrent_tasks=2,
            heartbeat_timeout=timedelta(seconds=settings.lease),
            shutdown_on_listener_failure=True,
        )
    )


def main() -> None:
    settings = Settings.read(Path(sys.argv[1]))
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.WARNING))
    if settings.side == PROCRASTINATE:
        with_procrastinate(settings)
    elif settings.side == PGQUEUER:
        with_pgqueuer(settings)
    else:
        ours(settings, sys.argv[2])


if __name__ == "__main__":
    main()
