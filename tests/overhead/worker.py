"""A worker in this process on a local queue, whose engine and storage say what they do and wait when told."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

from headless.adapters.fake_engine import FakeEngine
from headless.adapters.local_storage import LocalStorage
from headless.adapters.sqlite_queue import SqliteQueue
from headless.errors import QueueUnavailable
from headless.job import JobServices
from headless.loop import LoopPolicy, WorkLoop
from headless.loras import LoraSource
from headless.media.guard import FetchPolicy
from headless.outbox import Outbox
from headless.ports import StoredObject
from headless.runner import TaskRunner
from headless.segment import EngineListener, Generation, Picture, SegmentRequest
from headless.shutdown import Shutdown
from headless.task import Json, NewTask, Progress, RenewAnswer, TaskView
from headless.wiring import SHIPPED_CONFIGS
from headless.workspace import Workspace
from models.registry import load_models_def
from tests.overhead.timeline import PATIENCE, Timeline
from tests.worker.fake_clock import FakeClock
from tests.worker.place import picture_file

LEASE = 0.3
"""Seconds of the fake clock, and so short because the renewing thread looks at it in real time."""


class Engine(FakeEngine):
    """The fake engine; before the last frame of a task it calls what `meanwhile` holds for its prompt.

    An error of that stops the worker and is kept in `errors`."""

    def __init__(self, clock: FakeClock, timeline: Timeline, shutdown: Shutdown) -> None:
        super().__init__(load_models_def(SHIPPED_CONFIGS), clock)
        self.meanwhile: dict[str, Callable[[], None]] = {}
        self.errors: list[Exception] = []
        self._shutdown = shutdown
        self.ran: list[str] = []
        self._timeline = timeline

    def generate(self, request: SegmentRequest, listener: EngineListener) -> Generation:
        made = super().generate(request, listener)
        self.ran.append(request.prompt)
        return replace(made, frames=self._marked(made.frames, request))

    def _marked(self, frames: Iterator[Picture], request: SegmentRequest) -> Iterator[Picture]:
        for index, frame in enumerate(frames):
            if index == request.num_frames - 1:
                self._call(self.meanwhile.get(request.prompt, lambda: None))
            yield frame
        self._timeline.mark(f"engine done with {request.prompt}")

    def _call(self, meanwhile: Callable[[], None]) -> None:
        try:
            meanwhile()
        except Exception as error:
            self.errors.append(error)
            self._shutdown.request()
            raise


class Storage(LocalStorage):
    """The local storage; an upload of a video first calls what `before_upload` holds for its task."""

    def __init__(self, root: Path, timeline: Timeline) -> None:
        super().__init__(root)
        self.before_upload: dict[str, Callable[[], None]] = {}
        self._timeline = timeline

    def put(self, key: str, source: Path, content_type: str) -> StoredObject:
        if content_type == "video/mp4":
            self.before_upload.get(key.split("/")[2], lambda: None)()
        return super().put(key, source, content_type)

    def fetch(self, key: str, destination: Path, limit_bytes: int) -> StoredObject:
        stored = super().fetch(key, destination, limit_bytes)
        self._timeline.mark(f"fetched {key}")
        return stored


class Queue(SqliteQueue):
    """The local queue; it marks each renewal's answer, and cannot be reached for tasks in `cut_off`."""

    def __init__(self, path: Path, clock: FakeClock, timeline: Timeline) -> None:
        super().__init__(path, lease_seconds=LEASE, now=clock.monotonic)
        self.cut_off: set[str] = set()
        self._timeline = timeline

    def renew(self, task_id: str, attempt: int, progress: Progress) -> RenewAnswer:
        if task_id in self.cut_off:
            raise QueueUnavailable("the queue was told to be out of reach")
        answer = super().renew(task_id, attempt, progress)
        if progress.waiting:
            self._timeline.mark(f"prepared {task_id}")
        self._timeline.mark(f"{answer.value} {task_id}")
        return answer


class Worker:
    """The worker, and the tasks that it is given."""

    def __init__(self, folder: Path) -> None:
        self.timeline = Timeline()
        self.clock = FakeClock()
        self.queue = Queue(folder / "queue.sqlite3", self.clock, self.timeline)
        self.storage = Storage(folder / "files", self.timeline)
        self.shutdown = Shutdown(self.clock, grace=30)
        self.engine = Engine(self.clock, self.timeline, self.shutdown)
        self._folder = folder
        workspace = Workspace(folder / "work")
        services = JobServices(
            queue=self.queue,
            storage=self.storage,
            engine=self.engine,
            registry=load_models_def(SHIPPED_CONFIGS),
            clock=self.clock,
            shutdown=self.shutdown,
            worker_id="first",
            workspace=workspace,
            outbox=Outbox(workspace.outbox, "overhead"),
            loras=LoraSource(folders=(), hosts=frozenset(), policy=FetchPolicy(), writable=False),
        )
        self._runner = TaskRunner(services)

    def enqueue(self, prompt: str) -> str:
        """Queue a small task whose picture is its own; the task's id."""
        key = f"inputs/local/{prompt}.png"
        self.storage.put(key, picture_file(self._folder / "picture.png"), "image/png")
        sizes: dict[str, Json] = {"num_frames": 5, "width": 64, "height": 64, "steps": 1, "seed": 1}
        named: dict[str, Json] = {"model": "wan_tiny_i2v", "prompt": prompt}
        return self.queue.enqueue(NewTask(params={**named, **sizes, "start_image": f"storage://{key}"}))

    def work(self) -> int:
        """Run until the queue is empty; the exit status. Raises what went wrong meanwhile."""
        policy = LoopPolicy(busy=0.001, idle=0.01, until_idle=True)
        queue, engine, clock = self.queue, self.engine, self.clock
        status = WorkLoop(queue, engine, self._runner, self.shutdown, clock, "first", policy).run()
        for error in engine.errors:
            raise error
        return status

    def renewals(self, answer: RenewAnswer, task: str, count: int) -> None:
        """Have the leases renewed until a task's holder was given this answer so often."""
        for number in range(1, count + 1):
            self.clock.advance(LEASE / 2.9)
            self.timeline.wait_for(f"{answer.value} {task}", number)

    def await_end_of_lease(self, task: str) -> None:
        """Wait until the thread that renews a task's lease has given up."""
        for thread in threading.enumerate():
            if thread.name == f"lease-{task}":
                thread.join(PATIENCE)

    def view(self, task: str) -> TaskView:
        """The task's row."""
        view = self.queue.get(task)
        assert view is not None
        return view

    def uploaded(self, task: str) -> list[str]:
        """What lies in storage for a task."""
        return sorted(p.name for p in (self.storage.root / "outputs" / "local" / task).rglob("*.*"))
