"""Where workers of a test meet: a queue and a storage, machines with folders, and a hand on the clock."""

from __future__ import annotations

import abc
from collections.abc import Sequence
from pathlib import Path
from typing import Any, ClassVar, NamedTuple

import numpy as np

from headless.adapters.local_storage import LocalStorage
from headless.adapters.sqlite_queue import SqliteQueue
from headless.adapters.supabase_client import connect
from headless.adapters.supabase_queue import SupabaseQueue
from headless.adapters.supabase_storage import SupabaseStorage
from headless.media.video import read_clip
from headless.ports import Storage, TaskQueue
from headless.segment import Clip
from headless.settings import worker_settings
from headless.task import Json, NewTask, TaskView
from headless.wiring import build_worker
from tests.crash.worker_process import WorkerProcess
from tests.supabase.stack import Stack
from tests.worker.place import MODEL, picture_file

STEPS = 3
QUICK = (
    *("--poll-interval", "0.01", "--idle-poll-interval", "0.05"),
    *("--engine", "fake", "--fake-step-seconds", "0.01", "--log-format", "json"),
)


class Attempt(NamedTuple):
    """Who tried, and how it ended."""

    worker: str
    outcome: str


class Machine:
    """The folders of one machine."""

    def __init__(self, folder: Path) -> None:
        self.work = folder / "work"
        self.copies = folder / "copies"
        folder.mkdir(parents=True)

    @property
    def litter(self) -> list[str]:
        """What lies in the work folder, other than the folders that are always there."""
        return sorted(
            str(path.relative_to(self.work))
            for path in self.work.rglob("*")
            if path.parent != self.work or not path.is_dir()
        )

    def flags(self) -> list[str]:
        """What tells a worker about them."""
        return ["--work-dir", str(self.work), "--output-dir", str(self.copies)]


class Site(abc.ABC):
    """One queue with its storage. Workers run on `here` unless another machine is named."""

    owner: ClassVar[str]

    def __init__(self, folder: Path, queue: TaskQueue, storage: Storage) -> None:
        folder.mkdir(exist_ok=True)
        self.folder = folder
        self.queue = queue
        self.storage = storage
        self.here = Machine(folder / "here")
        picture = picture_file(folder / "start.png")
        self._picture = f"inputs/{self.owner}/start.png"
        storage.put(self._picture, picture, "image/png")

    @abc.abstractmethod
    def connection(self, *, trusted: bool = False) -> tuple[list[str], dict[str, str]]:
        """Flags and environment that lead a worker here. `trusted`: with a key that may do everything."""

    @abc.abstractmethod
    def let_leases_run_out(self) -> None:
        """Move every lease, and every moment for which a task is held back, into the past."""

    @abc.abstractmethod
    def attempts(self, task: str) -> list[Attempt]:
        """The attempts at a task, oldest first."""

    @abc.abstractmethod
    def outputs(self, task: str) -> list[str]:
        """Keys of the published outputs of a task."""

    def close(self) -> None:
        """Let go of the queue."""
        self.queue.close()

    def another_machine(self, name: str = "there") -> Machine:
        """A machine that shares nothing with `here` but the queue and the storage."""
        return Machine(self.folder / name)

    def enqueue(self, **changes: Json) -> str:
        """Queue a small clip."""
        return self.queue.enqueue(NewTask(params=self.job(**changes)))

    def job(self, **changes: Json) -> dict[str, Json]:
        """Parameters of a small clip."""
        usual: dict[str, Json] = {
            "model": MODEL,
            "prompt": "a cat yawns",
            "start_image": f"storage://{self._picture}",
            "num_frames": 5,
            "width": 64,
            "height": 64,
            "steps": STEPS,
            "seed": 7,
        }
        return usual | changes

    def start(
        self, name: str, *flags: str, traps: Sequence[str] = (), machine: Machine | None = None
    ) -> WorkerProcess:
        """A worker in a process of its own."""
        _, environment = self.connection()
        return WorkerProcess(
            self.folder / f"{name}.log", self._flags(name, machine, *flags), environment, traps
        )

    def kill_at(self, *points: str, name: str = "doomed") -> None:
        """Run a worker on `here` that kill -9 ends at these points."""
        with self.start(name, traps=[f"{point}=SIGKILL" for point in points]) as worker:
            worker.wait_killed()

    def work(self, name: str, *flags: str, machine: Machine | None = None) -> int:
        """Run a worker in this process until the queue is empty; its exit status."""
        _, environment = self.connection(trusted=True)
        settings = worker_settings([*self._flags(name, machine), "--until-idle", *flags], environment)
        with build_worker(settings) as worker:
            return worker.run()

    def view(self, task: str) -> TaskView:
        """The task's row."""
        view = self.queue.get(task)
        assert view is not None
        return view

    def result(self, task: str) -> dict[str, Any]:
        """What a complete task tells of itself."""
        view = self.view(task)
        assert view.result is not None, (view.status, view.error_message)
        return dict(view.result)

    def clip(self, task: str) -> Clip:
        """The frames of the one published video."""
        (key,) = self.outputs(task)
        assert key == self.view(task).output_location
        path = self.folder / f"{task}.mp4"
        stored = self.storage.fetch(key, path, 100_000_000)
        files = self.result(task)["files"]
        assert (files["video"]["key"], files["video"]["sha256"]) == (key, stored.sha256)
        return np.stack(list(read_clip(path)))

    def _flags(self, name: str, machine: Machine | None, *more: str) -> list[str]:
        flags, _ = self.connection()
        return [*flags, *(machine or self.here).flags(), "--worker", name, *QUICK, *more]


class LocalSite(Site):
    """A queue in a folder."""

    owner = "local"

    def __init__(self, folder: Path) -> None:
        self.local = folder / "local"
        self.sqlite = SqliteQueue(self.local / "queue.sqlite3")
        super().__init__(folder, self.sqlite, LocalStorage(self.local / "files"))

    def connection(self, *, trusted: bool = False) -> tuple[list[str], dict[str, str]]:
        return ["--local", str(self.local)], {}

    def let_leases_run_out(self) -> None:
        with self.sqlite.file.transaction() as db:
            db.execute("UPDATE tasks SET lease_expires_at = 1 WHERE lease_expires_at IS NOT NULL")
            db.execute("UPDATE tasks SET run_after = 1")

    def attempts(self, task: str) -> list[Attempt]:
        return [Attempt(row.worker_id, row.outcome) for row in self.sqlite.attempts(task)]

    def outputs(self, task: str) -> list[str]:
        with self.sqlite.file.snapshot() as db:
            rows = db.execute("SELECT object_key FROM task_outputs WHERE task_id = ?", (task,))
            return [row["object_key"] for row in rows]


class SupabaseSite(Site):
    """A Supabase project. Workers hold the fleet's secret key, or a token of gpu_worker."""

    owner = "service"

    def __init__(self, folder: Path, stack: Stack, *, as_gpu_worker: bool = False) -> None:
        self.stack = stack
        self._as_gpu_worker = as_gpu_worker
        stack.reset()
        connection = connect(stack.url, stack.keys.secret)
        super().__init__(folder, SupabaseQueue(connection), SupabaseStorage(connection))

    def connection(self, *, trusted: bool = False) -> tuple[list[str], dict[str, str]]:
        keys = self.stack.keys
        secrets = {"SUPABASE_SECRET_KEY": keys.secret}
        if self._as_gpu_worker and not trusted:
            secrets = {"SUPABASE_ACCESS_TOKEN": keys.worker(), "SUPABASE_ANON_KEY": keys.publishable}
        return ["--supabase-url", self.stack.url], secrets

    def let_leases_run_out(self) -> None:
        self.stack.advance(100.0)

    def attempts(self, task: str) -> list[Attempt]:
        rows = self.stack.sql(
            "select worker_id, outcome from public.task_attempts where task_id = %s order by attempt", task
        )
        return [Attempt(*row) for row in rows]

    def outputs(self, task: str) -> list[str]:
        rows = self.stack.sql("select object_key from public.task_outputs where task_id = %s", task)
        return [key for (key,) in rows]
