"""How an attempt ends: published, failed, given back, crashed or cancelled.

Everything happens inside the caller's transaction. A cancellation that was committed before a completion,
failure or release wins: the task becomes Cancelled.
"""

from __future__ import annotations

import json
import random
import sqlite3
from typing import Final

from headless.task import CompleteAnswer, FencedAnswer, Phase, TaskStatus

RETRY_DELAYS: Final = (5.0, 20.0, 80.0)
CRASHING_WORKERS: Final = 2
CRASHES: Final = 5
CANCELLED: Final = "CANCELLED"
QUARANTINED: Final = "QUARANTINED"
DEPENDENCY_FAILED: Final = "DEPENDENCY_FAILED"
BYSTANDER: Final = "BYSTANDER"

_COMPLETE: Final = """
UPDATE tasks SET status = 'Complete', output_location = :object_key, result = :result, error_class = NULL,
    error_message = NULL, generation_processed_at = :now, lease_expires_at = NULL, claim_id = NULL,
    cancel_requested = 0, phase = NULL, updated_at = :now
WHERE id = :id
"""

_END: Final = """
UPDATE tasks SET status = :status, error_class = :error_class, error_message = :message,
    lease_expires_at = NULL, claim_id = NULL, cancel_requested = 0, phase = NULL, updated_at = :now
WHERE id = :id
"""

_QUEUE_AGAIN: Final = """
UPDATE tasks SET status = 'Queued', run_after = :run_after, worker_id = NULL, progress = '{}',
    generation_started_at = NULL, lease_expires_at = NULL, claim_id = NULL, cancel_requested = 0,
    phase = NULL, updated_at = :now
WHERE id = :id
"""

_FAIL_DEPENDANTS: Final = """
WITH RECURSIVE below(id) AS (
    SELECT task_id FROM task_dependencies WHERE parent_id = :id
    UNION
    SELECT d.task_id FROM task_dependencies d JOIN below ON d.parent_id = below.id
)
UPDATE tasks SET status = 'Failed', error_class = :error_class, error_message = :reason, updated_at = :now
WHERE status = 'Queued' AND id IN (SELECT id FROM below)
"""

# A bystander's crash tells nothing about its task, so its worker is not counted.
_CRASHES: Final = """
SELECT count(*), count(DISTINCT CASE WHEN error_class IS NULL THEN worker_id END)
FROM task_attempts WHERE task_id = ? AND outcome = 'crashed'
"""


def current(db: sqlite3.Connection, task_id: str, attempt: int) -> sqlite3.Row | None:
    """The task's row while this attempt owns it, also when its lease has expired and nobody took it."""
    row: sqlite3.Row | None = db.execute(
        "SELECT * FROM tasks WHERE id = ? AND status = 'In Progress'", (task_id,)
    ).fetchone()
    return row if row is not None and row["fence"] == attempt else None


def complete(
    db: sqlite3.Connection,
    now: float,
    task_id: str,
    attempt: int,
    object_key: str,
    sha256: str,
    result: str,
    report: str | None,
) -> CompleteAnswer:
    """Publish once: the output's row and the final status are written together."""
    row = current(db, task_id, attempt)
    if row is None:
        return _published_before(db, task_id, attempt, object_key, sha256)
    if row["cancel_requested"]:
        end_cancelled(db, now, row, report=report)
        return CompleteAnswer.LOST
    db.execute(
        "INSERT INTO task_outputs (task_id, fence, object_key, sha256, created_at) VALUES (?, ?, ?, ?, ?)",
        (task_id, attempt, object_key, sha256, now),
    )
    db.execute(
        _COMPLETE,
        {"object_key": object_key, "result": result, "now": now, "id": task_id},
    )
    _end_attempt(db, now, row, "completed", result=result, report=report)
    db.execute(
        "UPDATE tasks SET waiting_on = waiting_on - 1 "
        "WHERE id IN (SELECT task_id FROM task_dependencies WHERE parent_id = ?)",
        (task_id,),
    )
    return CompleteAnswer.DONE


def fail(
    db: sqlite3.Connection,
    now: float,
    task_id: str,
    attempt: int,
    error_class: str,
    message: str,
    retry: bool,
    report: str | None,
) -> FencedAnswer:
    """End the attempt with an error: queued again, later each time, or Failed."""
    row = current(db, task_id, attempt)
    if row is None:
        return FencedAnswer.LOST
    if error_class == CANCELLED or row["cancel_requested"]:
        end_cancelled(db, now, row, error_class, message, report)
    elif retry and row["retry_count"] < len(RETRY_DELAYS):
        _end_attempt(db, now, row, "retried", error_class, message, report=report)
        delay = RETRY_DELAYS[row["retry_count"]] * random.SystemRandom().uniform(1.0, 1.5)
        _queue_again(db, now, row, delay)
        db.execute(
            "UPDATE tasks SET retry_count = retry_count + 1, error_class = ?, error_message = ? WHERE id = ?",
            (error_class, message, task_id),
        )
    else:
        _end_attempt(db, now, row, "failed", error_class, message, report=report)
        end_task(db, now, task_id, TaskStatus.FAILED, error_class, message)
    return FencedAnswer.OK


def release(
    db: sqlite3.Connection,
    now: float,
    task_id: str,
    attempt: int,
    reason: str,
    delay: float,
    report: str | None,
) -> FencedAnswer:
    """Give the task back, for `delay` seconds to nobody; the attempt is not charged."""
    row = current(db, task_id, attempt)
    if row is None:
        return FencedAnswer.LOST
    if row["cancel_requested"]:
        end_cancelled(db, now, row, message=reason, report=report)
        return FencedAnswer.OK
    _end_attempt(db, now, row, "released", message=reason, report=report)
    _queue_again(db, now, row, delay)
    db.execute(
        "UPDATE tasks SET attempts = attempts - 1, error_class = NULL, error_message = ? WHERE id = ?",
        (reason, task_id),
    )
    return FencedAnswer.OK


def end_crashed(db: sqlite3.Connection, now: float, row: sqlite3.Row) -> bool:
    """Count a lease that expired. Whether the task is final now: cancelled, or in quarantine."""
    progress = json.loads(row["progress"])
    report = json.dumps({"last_progress": progress}, ensure_ascii=False)
    if row["phase"] in (Phase.CHECKING, Phase.UPLOADING) or progress.get("waiting"):
        message = "The worker vanished while its engine was not at this task."
        _end_attempt(db, now, row, "crashed", BYSTANDER, message, report=report)
    else:
        _end_attempt(db, now, row, "crashed", report=report)
    db.execute("UPDATE tasks SET crash_count = crash_count + 1 WHERE id = ?", (row["id"],))
    if row["cancel_requested"]:
        end_task(db, now, row["id"], TaskStatus.CANCELLED, CANCELLED, "Cancelled; its worker had vanished.")
        return True
    crashes, workers = db.execute(
        _CRASHES,
        (row["id"],),
    ).fetchone()
    if workers < CRASHING_WORKERS and crashes < CRASHES:
        return False
    message = (
        f"In quarantine: {crashes} attempts ended in a crash or a lost worker, on {workers} worker(s). "
        "Look at the workers' logs, then retry the task."
    )
    end_task(db, now, row["id"], TaskStatus.FAILED, QUARANTINED, message)
    db.execute("UPDATE tasks SET quarantined_at = ? WHERE id = ?", (now, row["id"]))
    return True


def end_cancelled(
    db: sqlite3.Connection,
    now: float,
    row: sqlite3.Row,
    error_class: str | None = None,
    message: str | None = None,
    report: str | None = None,
) -> None:
    """The running attempt stopped because of a cancellation."""
    _end_attempt(db, now, row, "cancelled", error_class, message, report=report)
    end_task(db, now, row["id"], TaskStatus.CANCELLED, CANCELLED, "Cancelled while it was running.")


def end_task(
    db: sqlite3.Connection, now: float, task_id: str, status: TaskStatus, error_class: str, message: str
) -> None:
    """Make a task Failed or Cancelled, and fail everything that waits for it."""
    db.execute(
        _END,
        {"status": status.value, "error_class": error_class, "message": message, "now": now, "id": task_id},
    )
    reason = f"Task {task_id}, which this one needs, is {status.value}: {message}"
    db.execute(
        _FAIL_DEPENDANTS,
        {"id": task_id, "error_class": DEPENDENCY_FAILED, "reason": reason, "now": now},
    )


def _published_before(
    db: sqlite3.Connection, task_id: str, attempt: int, object_key: str, sha256: str
) -> CompleteAnswer:
    row = db.execute("SELECT * FROM task_outputs WHERE task_id = ?", (task_id,)).fetchone()
    same = row is not None and (row["fence"], row["object_key"], row["sha256"]) == (
        attempt,
        object_key,
        sha256,
    )
    return CompleteAnswer.ALREADY if same else CompleteAnswer.LOST


def _queue_again(db: sqlite3.Connection, now: float, row: sqlite3.Row, delay: float) -> None:
    db.execute(
        _QUEUE_AGAIN,
        {"run_after": now + delay, "now": now, "id": row["id"]},
    )


def _end_attempt(
    db: sqlite3.Connection,
    now: float,
    row: sqlite3.Row,
    outcome: str,
    error_class: str | None = None,
    message: str | None = None,
    *,
    result: str | None = None,
    report: str | None = None,
) -> None:
    db.execute(
        "UPDATE task_attempts SET ended_at = ?, outcome = ?, error_class = ?, message = ?, result = ?, "
        "report = ? WHERE task_id = ? AND fence = ?",
        (now, outcome, error_class, message, result, report, row["id"], row["fence"]),
    )
