"""What a user sees of the local queue."""

from __future__ import annotations

import json
import sqlite3
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final

from headless.task import Json, TaskStatus, TaskView

# The whole line is numbered once; `task_view` counts it for one row.
_LIST: Final = """
WITH page AS MATERIALIZED (
    SELECT * FROM tasks WHERE :status IS NULL OR status = :status ORDER BY sequence DESC LIMIT :limit
),
line AS MATERIALIZED (
    SELECT * FROM (
        SELECT sequence, row_number() OVER (ORDER BY priority DESC, sequence) AS queue_position
        FROM tasks WHERE status = 'Queued')
    WHERE sequence IN (SELECT sequence FROM page)
)
SELECT page.*, line.queue_position,
    (SELECT json_group_array(parent_id) FROM (
        SELECT parent_id FROM task_dependencies WHERE task_id = page.id ORDER BY position
    )) AS dependant_on
FROM page LEFT JOIN line USING (sequence) ORDER BY page.sequence DESC
"""
_ONE: Final = """
SELECT task_view.*,
    (SELECT json_group_array(parent_id) FROM (
        SELECT parent_id FROM task_dependencies WHERE task_id = task_view.id ORDER BY position
    )) AS dependant_on
FROM task_view WHERE id = ?
"""


@dataclass(frozen=True)
class AttemptRecord:
    """One attempt at a task: who, when, and how it ended (`running` until then)."""

    attempt: int
    worker_id: str
    outcome: str
    started_at: str
    ended_at: str | None
    error_class: str | None
    message: str | None
    worker: dict[str, Json]
    result: dict[str, Json] | None
    report: dict[str, Json] | None


def get(db: sqlite3.Connection, task_id: str) -> TaskView | None:
    """One task, or `None`."""
    row = db.execute(_ONE, (task_id,)).fetchone()
    return None if row is None else _view(row)


def list_tasks(db: sqlite3.Connection, status: TaskStatus | None, limit: int) -> list[TaskView]:
    """Tasks, newest first."""
    rows = db.execute(_LIST, {"status": status, "limit": limit})
    return [_view(row) for row in rows]


def waiting(db: sqlite3.Connection, now: float) -> int:
    """Tasks that need a worker: queued ones, and those whose worker has vanished."""
    (count,) = db.execute(
        "SELECT (SELECT count(*) FROM tasks WHERE status = 'Queued') + "
        "(SELECT count(*) FROM tasks WHERE status = 'In Progress' AND lease_expires_at <= ?)",
        (now,),
    ).fetchone()
    return int(count)


def attempts(db: sqlite3.Connection, task_id: str) -> tuple[AttemptRecord, ...]:
    """Every attempt, oldest first."""
    rows = db.execute("SELECT * FROM task_attempts WHERE task_id = ? ORDER BY fence", (task_id,))
    return tuple(
        AttemptRecord(
            attempt=row["fence"],
            worker_id=row["worker_id"],
            outcome=row["outcome"],
            started_at=_time(row["started_at"]),
            ended_at=_time_or_none(row["ended_at"]),
            error_class=row["error_class"],
            message=row["message"],
            worker=json.loads(row["worker_description"]),
            result=_json_or_none(row["result"]),
            report=_json_or_none(row["report"]),
        )
        for row in rows
    )


def _view(row: sqlite3.Row) -> TaskView:
    return TaskView(
        id=row["id"],
        task_type=row["task_type"],
        status=TaskStatus(row["status"]),
        params=json.loads(row["params"]),
        attempts=row["attempts"],
        created_at=_time(row["created_at"]),
        updated_at=_time(row["updated_at"]),
        phase=row["phase"],
        progress=json.loads(row["progress"]),
        priority=row["priority"],
        queue_position=row["queue_position"],
        worker_id=row["worker_id"],
        error_class=row["error_class"],
        error_message=row["error_message"],
        output_location=row["output_location"],
        preview_location=row["preview_location"],
        result=_json_or_none(row["result"]),
        generation_started_at=_time_or_none(row["generation_started_at"]),
        generation_processed_at=_time_or_none(row["generation_processed_at"]),
        origin=row["origin_id"],
        dependant_on=tuple(json.loads(row["dependant_on"])),
    )


def _time(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, UTC).isoformat(timespec="milliseconds")


def _time_or_none(seconds: float | None) -> str | None:
    return None if seconds is None else _time(seconds)


def _json_or_none(text: str | None) -> dict[str, Json] | None:
    value: dict[str, Json] | None = None if text is None else json.loads(text)
    return value
