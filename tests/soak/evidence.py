"""What a soak left behind, as plain rows."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

from tests.soak.ground import Ground


class TaskRow(NamedTuple):
    """A task as its user sees it. `video`: key and SHA-256 of the video that the result names."""

    id: str
    status: str
    origin: str | None
    attempts: int
    location: str | None
    error_class: str | None
    error_message: str | None
    video: tuple[str, str] | None


class AttemptRow(NamedTuple):
    """One attempt."""

    task: str
    number: int
    worker: str
    outcome: str


class OutputRow(NamedTuple):
    """A published output."""

    task: str
    attempt: int
    key: str
    sha256: str


class Event(NamedTuple):
    """What the witness in the database wrote down."""

    task: str
    what: str
    attempt: int | None
    key: str | None


class Told(NamedTuple):
    """A worker says that the queue acknowledged its completion."""

    task: str
    attempt: int


@dataclass(frozen=True)
class Evidence:
    """Everything that the audit looks at, but the videos themselves."""

    tasks: tuple[TaskRow, ...]
    attempts: tuple[AttemptRow, ...]
    outputs: tuple[OutputRow, ...]
    events: tuple[Event, ...]
    told: frozenset[Told]


def gather(ground: Ground, logs: Path) -> Evidence:
    """Read the rows, and the logs of all workers that ever ran."""
    query, attempt = ground.query, ground.attempt_column
    tasks = query(
        "select id, status, origin_id, fence, output_location, error_class, error_message, result from tasks"
    )
    attempts = query(f"select task_id, {attempt}, worker_id, outcome from task_attempts")
    outputs = query(f"select task_id, {attempt}, object_key, sha256 from task_outputs")
    events = query(f"select task_id, event, attempt, object_key from {ground.journal_table}")
    return Evidence(
        tasks=tuple(_task(row) for row in tasks),
        attempts=tuple(AttemptRow(str(row[0]), *row[1:]) for row in attempts),
        outputs=tuple(OutputRow(str(row[0]), *row[1:]) for row in outputs),
        events=tuple(Event(str(row[0]), *row[1:]) for row in events),
        told=frozenset(told for log in logs.glob("*.log") for told in _told(log)),
    )


def _task(row: tuple[Any, ...]) -> TaskRow:
    task, status, origin, fence, location, error_class, error_message, result = row
    result = json.loads(result) if isinstance(result, str) else result
    video = result["files"]["video"] if result else None
    return TaskRow(
        str(task),
        status,
        None if origin is None else str(origin),
        fence,
        location,
        error_class,
        error_message,
        (video["key"], video["sha256"]) if video else None,
    )


def _told(log: Path) -> Iterator[Told]:
    for line in log.read_text(encoding="utf-8", errors="replace").splitlines():
        if '"task complete"' in line and line.endswith("}"):
            entry = json.loads(line)
            if entry["event"] == "task complete":
                yield Told(entry["task"], int(entry["attempt"]))
