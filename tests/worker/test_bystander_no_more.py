"""A task that is tried again reaches the engine when the queue knows: it must not pass for a bystander."""

from __future__ import annotations

import threading
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from headless import wiring
from headless.adapters.sqlite_queue import SqliteQueue
from headless.settings import worker_settings
from headless.task import Capability, Phase, Progress, RenewAnswer
from tests.worker.place import Place
from tests.worker.signalling_queue import PATIENCE


@dataclass
class Story:
    """What happened, in its order."""

    patience: float
    seen: list[str] = field(default_factory=list)
    waits: threading.Event = field(default_factory=threading.Event)
    begun: threading.Event = field(default_factory=threading.Event)


class SlowToHear(SqliteQueue):
    """The real queue, which hears of `loading` after the engine has begun, unless the engine waits for it."""

    def __init__(self, path: Path, story: Story) -> None:
        super().__init__(path)
        self._story = story

    def renew(self, task_id: str, attempt: int, progress: Progress) -> RenewAnswer:
        if progress.phase is Phase.LOADING:
            self._story.begun.wait(self._story.patience)
        answer = super().renew(task_id, attempt, progress)
        if progress.phase is Phase.LOADING:
            self._story.seen.append("told")
        if progress.waiting:
            self._story.waits.set()
        return answer


@pytest.mark.parametrize(("attempts", "patience", "first"), [(1, PATIENCE, "load"), (2, 0.5, "told")])
def test_the_engine_waits_until_the_queue_knows(
    place: Place, monkeypatch: pytest.MonkeyPatch, attempts: int, patience: float, first: str
) -> None:
    story = Story(patience)
    queue = SlowToHear(place.local / "queue.sqlite3", story)
    monkeypatch.setattr(wiring, "open_backend", lambda *_: (queue, place.storage))
    task = place.enqueue(place.job())
    for number in range(1, attempts):
        earlier = queue.claim("w", f"earlier {number}", Capability())
        assert earlier is not None
        queue.release(task, earlier.attempt, "somebody else's turn")
    settings = worker_settings(place.flags("--engine", "fake", "--once"), {})
    with wiring.build_worker(settings) as worker:
        _tell(story, worker, monkeypatch)
        assert worker.run() == 0
    assert place.view(task).status.value == "Complete"
    assert story.seen[0] == first


def _tell(story: Story, worker: wiring.Worker, monkeypatch: pytest.MonkeyPatch) -> None:
    """The engine begins with a task once the queue has heard that the task waits for it."""
    engine = worker.runner._services.engine
    generate, load = worker.runner.generate, engine.load

    def generating(*arguments: Any) -> Any:
        assert story.waits.wait(PATIENCE)
        return generate(*arguments)

    def loading(*arguments: Any) -> None:
        story.seen.append("load")
        story.begun.set()
        load(*arguments)

    monkeypatch.setattr(worker.runner, "generate", generating)
    monkeypatch.setattr(engine, "load", loading)
