"""The queue, what the caller may do with it, and the storage, tried over the same seams that a worker uses.

Nothing is claimed or changed: the fenced calls are made for a task that cannot exist, and are lost.
"""

from __future__ import annotations

import hashlib
import tempfile
import uuid
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Final

from headless import keys
from headless.doctor.finding import Finding, fail, ok, skipped
from headless.doctor.token import GPU_WORKER
from headless.errors import HeadlessError, QueueUnavailable
from headless.ports import Storage, TaskQueue
from headless.task import Phase, Progress

NOBODY: Final = str(uuid.UUID(int=0))
"""A task that no queue hands out."""
_PROBE: Final = (
    b"Written by `python -m headless doctor` to see whether files can be stored. It may be deleted.\n"
)


def check_queue(queue: TaskQueue) -> Finding:
    """Whether it answers."""
    try:
        queue.renew(NOBODY, 1, Progress(Phase.LOADING))
    except QueueUnavailable as error:
        return fail("queue", error.message, "Check the address, and whether the project is running.")
    except HeadlessError as error:
        return fail(
            "queue", error.message, "docs/supabase.md says how a queue is installed and which keys fit."
        )
    return ok("queue", "answers")


def check_grants(queue: TaskQueue, role: str) -> Finding:
    """Whether the caller may make the calls of a worker, and those of a user where the role is one."""
    refused = [f"{name}: {why}" for name, call in _calls(queue, role).items() if (why := _refusal(call))]
    if refused:
        return fail(
            "grants",
            f"may not {'; '.join(refused)}",
            "Apply all of supabase/migrations again; applying twice changes nothing.",
        )
    if role == GPU_WORKER:
        return ok("grants", "the calls of a worker; submit, status and --until-idle need another key")
    return ok("grants", "the calls of a worker, and reading the queue")


def check_storage(storage: Storage, owner: str, role: str) -> Finding:
    """Whether a file can be stored and read back. It stays: nobody may delete what is stored."""
    key = keys.input_key(owner, hashlib.sha256(_PROBE).hexdigest(), ".txt")
    try:
        if role == GPU_WORKER:
            storage.exists(key)
            return ok("storage", "answers; a token of gpu_worker may write only for a task that it holds")
        with tempfile.TemporaryDirectory(prefix="headless-doctor-") as folder:
            sent, returned = Path(folder) / "sent.txt", Path(folder) / "returned.txt"
            sent.write_bytes(_PROBE)
            storage.put(key, sent, "text/plain")
            storage.fetch(key, returned, 1_000_000)
            if returned.read_bytes() != _PROBE:
                return fail("storage", f"{key} came back changed", "Delete it; see what stands in between.")
    except HeadlessError as error:
        return fail("storage", error.message, _mend_storage(role))
    return ok("storage", f"stores and gives back ({key})")


def check_service(queue: TaskQueue, storage: Storage, role: str) -> list[Finding]:
    """All three; the later ones only where the queue answers."""
    answers = check_queue(queue)
    if answers.health != "ok":
        return [answers, *(skipped(check, "the queue comes first") for check in ("grants", "storage"))]
    return [answers, check_grants(queue, role), check_storage(storage, queue.owner, role)]


def _calls(queue: TaskQueue, role: str) -> Mapping[str, Callable[[], object]]:
    nothing = f"outputs/nobody/{NOBODY}/1/none.mp4"
    calls: dict[str, Callable[[], object]] = {
        "renew": lambda: queue.renew(NOBODY, 1, Progress(Phase.LOADING)),
        "checkpoint": lambda: queue.checkpoint(NOBODY, 1, 0, "none", nothing),
        "complete": lambda: queue.complete(NOBODY, 1, nothing, "0" * 64, {}),
        "fail": lambda: queue.fail(NOBODY, 1, "DOCTOR", "a check", False),
        "release": lambda: queue.release(NOBODY, 1, "a check"),
    }
    if role == GPU_WORKER:
        return calls
    return calls | {
        "read": lambda: queue.list(limit=1),
        "count": queue.queued,
        "cancel": lambda: queue.cancel(NOBODY),
        "retry": lambda: queue.retry(NOBODY),
    }


def _refusal(call: Callable[[], object]) -> str | None:
    try:
        call()
    except HeadlessError as error:
        return error.message
    return None


def _mend_storage(role: str) -> str:
    if role == "local":
        return "Free some space, or give the folder to the worker's user."
    return "Apply supabase/migrations/*_storage.sql, and check --supabase-bucket."
