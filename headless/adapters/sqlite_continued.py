"""The task that a claimed one continues: named by its parameters, or the last that it depended on."""

from __future__ import annotations

import sqlite3
from typing import Final

from headless.params.references import is_task_id
from headless.task import Continued, Json, TaskStatus

NAMED_BY: Final = ("continue_from", "extend_from")

_NAMED: Final = """
SELECT id, status, output_location AS video, json_extract(result, '$.files.latents.key') AS latents
FROM tasks WHERE id = ? AND user_id = ?
"""
_LAST_PARENT: Final = """
SELECT t.id, t.status, t.output_location AS video, json_extract(t.result, '$.files.latents.key') AS latents
FROM task_dependencies d JOIN tasks t ON t.id = d.parent_id
WHERE d.task_id = ? AND t.user_id = ?
ORDER BY json_type(t.result, '$.files.latents.key') IS 'text' DESC, d.position DESC LIMIT 1
"""


def continued(db: sqlite3.Connection, task: sqlite3.Row, params: Json) -> Continued | None:
    """What the worker of `task` may know of it: only of the same owner, and only where its files lie."""
    name = _named(params)
    row = (
        db.execute(_LAST_PARENT, (task["id"], task["user_id"])).fetchone()
        if name is None
        else db.execute(_NAMED, (name, task["user_id"])).fetchone()
    )
    if row is None:
        return None
    latents = row["latents"] if isinstance(row["latents"], str) else None
    return Continued(TaskStatus(row["status"]), latents, row["video"], row["id"])


def _named(params: Json) -> str | None:
    """The task that the parameters name, in lower case."""
    if not isinstance(params, dict):
        return None
    names = (params.get(field) for field in NAMED_BY)
    return next((name.lower() for name in names if isinstance(name, str) and is_task_id(name)), None)
