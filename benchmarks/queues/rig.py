"""The real worker around a paced engine, on any queue."""

from __future__ import annotations

from pathlib import Path

from benchmarks.queues.paced import STEPS, PacedEngine
from headless.clock import SystemClock
from headless.job import JobServices
from headless.loop import LoopPolicy, WorkLoop
from headless.loras import LoraSource
from headless.media.guard import FetchPolicy
from headless.outbox import Outbox
from headless.ports import ModelRegistry, Storage, TaskQueue
from headless.run_task import Made, TaskRun
from headless.runner import TaskRunner
from headless.shutdown import Shutdown
from headless.task import Json
from headless.workspace import Workspace
from models.registry import load_models_def

ROOT = Path(__file__).resolve().parents[2]
MODEL = "wan_tiny_i2v"


def registry() -> ModelRegistry:
    """The shipped model definitions."""
    return load_models_def(ROOT / "configs")


def job(prompt: str, seed: int, width: int = 64, height: int = 64, frames: int = 5) -> dict[str, Json]:
    """Parameters of a small task of text alone."""
    sizes: dict[str, Json] = {"num_frames": frames, "width": width, "height": height, "steps": STEPS}
    return {"model": MODEL, "prompt": prompt, "seed": seed, **sizes}


class Rig:
    """A worker named `name` with its files in `folder`."""

    def __init__(
        self, folder: Path, name: str, queue: TaskQueue, storage: Storage, engine: PacedEngine
    ) -> None:
        self.clock = SystemClock()
        self.shutdown = Shutdown(self.clock, grace=30)
        self.workspace = Workspace(folder / name)
        self._queue = queue
        self._engine = engine
        self._name = name
        services = JobServices(
            queue=queue,
            storage=storage,
            engine=engine,
            registry=registry(),
            clock=self.clock,
            shutdown=self.shutdown,
            worker_id=name,
            workspace=self.workspace,
            outbox=Outbox(self.workspace.outbox, "benchmark"),
            loras=LoraSource(folders=(), hosts=frozenset(), policy=FetchPolicy(), writable=False),
        )
        self.runner = TaskRunner(services)

    def loop(self, policy: LoopPolicy) -> WorkLoop[TaskRun, Made]:
        """The worker's loop."""
        return WorkLoop(self._queue, self._engine, self.runner, self.shutdown, self.clock, self._name, policy)
