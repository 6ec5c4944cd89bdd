"""A process of its own that works on a queue file: `python -m tests.sqlite.child ACTION PATH NAME`.

It waits for a line on its standard input, then prints one for everything that the queue acknowledged.
"""

from __future__ import annotations

import resource
import sys
import uuid

from headless.adapters.sqlite_queue import SqliteQueue
from headless.errors import DiskFull
from headless.task import Capability, CompleteAnswer, NewTask


def say(*words: object) -> None:
    print(*words, flush=True)  # noqa: T201  # the parent reads it


def drain(path: str, name: str) -> None:
    """Claim and complete until nothing is left."""
    queue = SqliteQueue(path)
    while claim := queue.claim(name, str(uuid.uuid4()), Capability()):
        key = f"{claim.output_prefix}/movie.mp4"
        assert queue.complete(claim.task_id, claim.attempt, key, "0" * 64, {}) is CompleteAnswer.DONE
        say(claim.task_id)


def churn(path: str, name: str) -> None:
    """Queue, claim and complete for ever; the parent ends it with SIGKILL."""
    queue = SqliteQueue(path)
    while True:
        say("queued", queue.enqueue(NewTask({"prompt": "x" * 2000})))
        claim = queue.claim(name, str(uuid.uuid4()), Capability())
        assert claim is not None
        say("claimed", claim.task_id)
        key = f"{claim.output_prefix}/movie.mp4"
        queue.complete(claim.task_id, claim.attempt, key, "0" * 64, {})
        say("complete", claim.task_id)


def create(path: str, name: str) -> None:
    """Open a file that nobody has created yet, at the same time as others."""
    say(SqliteQueue(path).enqueue(NewTask({"prompt": name})))


def fill(path: str, name: str) -> None:
    """Queue until the file may not grow any more."""
    queue = SqliteQueue(path)
    resource.setrlimit(resource.RLIMIT_FSIZE, (600_000, 600_000))
    try:
        while True:
            say("queued", queue.enqueue(NewTask({"prompt": "x" * 20_000})))
    except DiskFull as error:
        say("full", error)


if __name__ == "__main__":
    sys.stdin.readline()
    {"drain": drain, "churn": churn, "create": create, "fill": fill}[sys.argv[1]](sys.argv[2], sys.argv[3])
