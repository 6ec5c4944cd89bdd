"""A user's writes: queue a task, cancel one, queue a copy of a finished one."""

from __future__ import annotations

import graphlib
import sqlite3
import uuid
from collections.abc import Iterable
from typing import Final

from headless.adapters.sqlite_settle import CANCELLED, end_crashed, end_task
from headless.errors import BadParams
from headless.task import CancelAnswer, Json, NewTask, TaskStatus

MODEL_FIELDS: Final = ("model", "model_name", "model_type")
MAX_MODEL: Final = 200
_UNFULFILLED: Final = (TaskStatus.FAILED, TaskStatus.CANCELLED)


def enqueue(db: sqlite3.Connection, now: float, owner: str, task: NewTask, params: str) -> str:
    """Queue a checked task; a repeated idempotency key answers the first task's id."""
    if task.idempotency_key is not None:
        first = db.execute(
            "SELECT id FROM tasks WHERE user_id = ? AND idempotency_key = ?", (owner, task.idempotency_key)
        ).fetchone()
        if first is not None:
            return str(first["id"])
    parents = tuple(dict.fromkeys(task.dependant_on))
    for parent in parents:
        _check_parent(db, parent)
    values: dict[str, object] = {
        "user_id": owner,
        "task_type": task.task_type,
        "params": params,
        "model": _model(task.params),
        "priority": task.priority,
        "project_id": task.project_id,
        "idempotency_key": task.idempotency_key,
        "origin_id": None,
        "run_after": now + task.run_after_seconds,
    }
    return _insert(db, now, values, parents)


def cancel(db: sqlite3.Connection, now: float, task_id: str) -> CancelAnswer:
    """Cancel at once what nobody runs; otherwise leave word for the worker."""
    row = db.execute("SELECT * FROM tasks WHERE id = ?", (task_id,)).fetchone()
    if row is None:
        return CancelAnswer.UNKNOWN
    status = TaskStatus(row["status"])
    if status is TaskStatus.CANCELLED:
        return CancelAnswer.CANCELLED
    if status.final:
        return CancelAnswer.FINAL
    if status is TaskStatus.QUEUED:
        end_task(db, now, task_id, TaskStatus.CANCELLED, CANCELLED, "Cancelled before it started.")
        return CancelAnswer.CANCELLED
    db.execute("UPDATE tasks SET cancel_requested = 1, updated_at = ? WHERE id = ?", (now, task_id))
    if row["lease_expires_at"] > now:
        return CancelAnswer.REQUESTED
    end_crashed(db, now, db.execute("SELECT * FROM tasks WHERE id = ?", (task_id,)).fetchone())
    return CancelAnswer.CANCELLED


def retry(db: sqlite3.Connection, now: float, task_id: str) -> str | None:
    """Queue a copy of a final task. A parent that failed is replaced by its own newest copy."""
    row = db.execute("SELECT * FROM tasks WHERE id = ?", (task_id,)).fetchone()
    if row is None or not TaskStatus(row["status"]).final:
        return None
    parents = db.execute(
        "SELECT parent_id FROM task_dependencies WHERE task_id = ? ORDER BY position", (task_id,)
    ).fetchall()
    kept = ("user_id", "task_type", "params", "model", "priority", "project_id")
    values = {name: row[name] for name in kept} | {
        "idempotency_key": None,
        "origin_id": task_id,
        "run_after": now,
    }
    return _insert(db, now, values, [_usable_copy(db, parent["parent_id"]) for parent in parents])


_INSERT: Final = """
INSERT INTO tasks (id, user_id, task_type, params, model, priority, project_id, idempotency_key, origin_id,
    created_at, updated_at, run_after)
VALUES (:id, :user_id, :task_type, :params, :model, :priority, :project_id, :idempotency_key, :origin_id,
    :now, :now, :run_after)
"""


def _insert(db: sqlite3.Connection, now: float, values: dict[str, object], parents: Iterable[str]) -> str:
    task_id = str(uuid.uuid4())
    db.execute(_INSERT, values | {"id": task_id, "now": now})
    db.executemany(
        "INSERT OR IGNORE INTO task_dependencies (task_id, parent_id, position) VALUES (?, ?, ?)",
        [(task_id, parent, position) for position, parent in enumerate(parents)],
    )
    db.execute(
        "UPDATE tasks SET waiting_on = (SELECT count(*) FROM task_dependencies d JOIN tasks p "
        "ON p.id = d.parent_id WHERE d.task_id = tasks.id AND p.status <> 'Complete') WHERE id = ?",
        (task_id,),
    )
    return task_id


def _check_parent(db: sqlite3.Connection, parent: str) -> None:
    row = db.execute("SELECT status, error_message FROM tasks WHERE id = ?", (parent,)).fetchone()
    if row is None:
        raise BadParams(
            f"dependant_on names {parent!r}, which is not a task of this queue; queue that task first "
            "and use its id"
        )
    if row["status"] in _UNFULFILLED:
        raise BadParams(
            f"dependant_on names {parent!r}, which is {row['status']} and will never be Complete; "
            "retry that task and name its copy"
        )
    _refuse_circle(db, parent)


def _refuse_circle(db: sqlite3.Connection, parent: str) -> None:
    """Tasks can only name older ones, so a circle was written by another program; it would wait forever."""
    edges = db.execute(
        "WITH RECURSIVE above(id) AS (VALUES (?) UNION "
        "SELECT d.parent_id FROM task_dependencies d JOIN above ON d.task_id = above.id "
        "JOIN tasks p ON p.id = d.parent_id WHERE p.status = 'Queued') "
        "SELECT d.task_id, d.parent_id FROM task_dependencies d JOIN above ON d.task_id = above.id",
        (parent,),
    )
    graph: dict[str, set[str]] = {}
    for edge in edges:
        graph.setdefault(edge["task_id"], set()).add(edge["parent_id"])
    try:
        graphlib.TopologicalSorter(graph).prepare()
    except graphlib.CycleError as error:
        raise BadParams(
            f"dependant_on names {parent!r}, whose dependencies form a circle "
            f"({' -> '.join(error.args[1])}); cancel one of these tasks"
        ) from error


def _usable_copy(db: sqlite3.Connection, parent: str) -> str:
    row = db.execute(
        "WITH RECURSIVE copies(id) AS (VALUES (?) UNION "
        "SELECT t.id FROM tasks t JOIN copies ON t.origin_id = copies.id) "
        "SELECT id FROM tasks WHERE id IN (SELECT id FROM copies) AND status NOT IN ('Failed', 'Cancelled') "
        "ORDER BY id = ? DESC, sequence DESC LIMIT 1",
        (parent, parent),
    ).fetchone()
    if row is None:
        raise BadParams(
            f"this task needs the output of task {parent!r}, which has none; retry {parent!r} first"
        )
    return str(row["id"])


def _model(params: Json) -> str | None:
    """The model a task asks for, under the names that frontends use."""
    if isinstance(params, dict):
        for field in MODEL_FIELDS:
            value = params.get(field)
            if isinstance(value, str) and len(value) <= MAX_MODEL:
                return value
    return None
