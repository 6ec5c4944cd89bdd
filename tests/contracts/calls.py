"""Short forms of the calls that every contract test makes."""

from __future__ import annotations

import hashlib
import uuid

from headless.ports import TaskQueue
from headless.task import (
    Capability,
    Claim,
    CompleteAnswer,
    FencedAnswer,
    Json,
    NewTask,
    Phase,
    Progress,
    TaskStatus,
    TaskView,
)

PROGRESS = Progress(Phase.DENOISING, segment=1, segments=3, step=2, steps=8, percent=12.5)
SHA = hashlib.sha256(b"a movie").hexdigest()
OTHER_SHA = hashlib.sha256(b"another movie").hexdigest()
NOT_IDS = (
    "no-such-task",
    "",
    "4f0f1f3a-8e9e-4d0d-9c4c-6f0a8f3f2b11",
    "' or 1=1 --",
    "\0",
    "\ud800",
    "x" * 5000,
)


def new_task(
    params: Json = None, *, after: tuple[str, ...] = (), priority: int = 0, delay: float = 0.0
) -> NewTask:
    return NewTask(
        params={"prompt": "a cat"} if params is None else params,
        dependant_on=after,
        priority=priority,
        run_after_seconds=delay,
    )


def try_claim(queue: TaskQueue, worker: str = "worker-1", model: str | None = None) -> Claim | None:
    return queue.claim(worker, str(uuid.uuid4()), Capability(model))


def claim(queue: TaskQueue, worker: str = "worker-1", model: str | None = None) -> Claim:
    claimed = try_claim(queue, worker, model)
    assert claimed is not None, "a task should be claimable"
    return claimed


def movie_key(claimed: Claim) -> str:
    return f"{claimed.output_prefix}/movie.mp4"


def complete(queue: TaskQueue, claimed: Claim, sha256: str = SHA) -> CompleteAnswer:
    return queue.complete(claimed.task_id, claimed.attempt, movie_key(claimed), sha256, {"seed": 7})


def fail(
    queue: TaskQueue,
    claimed: Claim,
    error_class: str = "BAD_INPUT",
    message: str = "no good",
    retry: bool = False,
) -> FencedAnswer:
    return queue.fail(claimed.task_id, claimed.attempt, error_class, message, retry)


def view(queue: TaskQueue, task_id: str) -> TaskView:
    seen = queue.get(task_id)
    assert seen is not None, f"the task {task_id} should exist"
    return seen


def status(queue: TaskQueue, task_id: str) -> TaskStatus:
    return view(queue, task_id).status
