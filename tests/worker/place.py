"""A queue and a storage in a folder, and whole workers that run on them in this process."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from headless.adapters.local_storage import LocalStorage
from headless.adapters.sqlite_queue import SqliteQueue
from headless.settings import worker_settings
from headless.task import Json, NewTask, TaskView
from headless.wiring import build_worker

MODEL = "wan_tiny_i2v"
QUICK = ("--poll-interval", "0.01", "--idle-poll-interval", "0.05")


class Place:
    """What `--local` names, with the folders that a worker is given beside it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.local = folder / "local"
        self.local.mkdir(parents=True)
        self.outputs = folder / "outputs"
        self.scratch = folder / "scratch"
        self.scratch.mkdir()

    @property
    def storage(self) -> LocalStorage:
        """The storage that the worker uses."""
        return LocalStorage(self.local / "files")

    @contextmanager
    def queue(self, lease_seconds: float = 60.0) -> Iterator[SqliteQueue]:
        """A connection of its own to the queue."""
        queue = SqliteQueue(self.local / "queue.sqlite3", lease_seconds=lease_seconds)
        try:
            yield queue
        finally:
            queue.close()

    def enqueue(self, params: Json, **envelope: Any) -> str:
        """Queue parameters as they are."""
        with self.queue() as queue:
            return queue.enqueue(NewTask(params=params, **envelope))

    def view(self, task: str) -> TaskView:
        """The task's row."""
        with self.queue() as queue:
            view = queue.get(task)
        assert view is not None
        return view

    def outcome(self, task: str) -> str:
        """How the last attempt at the task ended."""
        with self.queue() as queue:
            return queue.attempts(task)[-1].outcome

    def store(self, content: bytes, suffix: str = ".png", owner: str = "local") -> str:
        """Put a file into storage as an input; what a task calls it."""
        name = hashlib.sha256(content).hexdigest()
        path = self.scratch / f"{name}{suffix}"
        path.write_bytes(content)
        key = f"inputs/{owner}/{name}{suffix}"
        self.storage.put(key, path, "application/octet-stream")
        return f"storage://{key}"

    def picture(self, width: int = 64, height: int = 64, seed: int = 0) -> str:
        """A picture in storage; what a task calls it."""
        return self.store(picture_file(self.scratch / "picture.png", width, height, seed).read_bytes())

    def job(self, **changes: Json) -> dict[str, Json]:
        """Parameters of a small clip with a start image."""
        usual: dict[str, Json] = {
            "model": MODEL,
            "prompt": "a cat yawns",
            "start_image": self.picture(),
            "num_frames": 5,
            "width": 64,
            "height": 64,
            "steps": 1,
            "seed": 7,
        }
        return usual | changes

    def flags(self, *more: str) -> list[str]:
        """The command line of a worker here."""
        folders = ("--output-dir", str(self.outputs), "--work-dir", str(self.folder / "work"))
        return ["--local", str(self.local), *folders, *QUICK, *more]

    def work(self, *flags: str, engine: str = "fake", until: str = "--until-idle") -> int:
        """Run a worker in this process until the queue is empty, or `--once`; its exit status."""
        settings = worker_settings(self.flags("--engine", engine, until, *flags), {})
        with build_worker(settings) as worker:
            return worker.run()

    def result(self, task: str) -> dict[str, Any]:
        """The result in the task's row, after a look that the task is complete."""
        view = self.view(task)
        assert view.status.value == "Complete", view.error_message
        return json.loads(json.dumps(view.result))  # type: ignore[no-any-return]  # a copy as plain JSON

    def stored(self, task: str, name: str, attempt: int = 1) -> Path:
        """Where an output lies in storage."""
        return self.local / "files" / "outputs" / "local" / task / str(attempt) / name


def picture_file(path: Path, width: int = 64, height: int = 64, seed: int = 0) -> Path:
    """A picture with gradients and a square, as a file."""
    y, x = np.mgrid[0:height, 0:width]
    canvas = np.stack([x * 255 // width, y * 255 // height, np.full_like(x, 40 * seed % 256)], axis=2)
    canvas[height // 4 : height // 2, width // 4 : width // 2] = (250, 30 * seed % 256, 20)
    Image.fromarray(canvas.astype(np.uint8)).save(path)
    return path


@pytest.fixture
def place(tmp_path: Path) -> Place:
    """An empty place."""
    return Place(tmp_path / "place")
