"""Rows and answers of the database as the queue's own types."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any, Final

from headless.task import Checkpoint, Claim, Continued, TaskStatus, TaskView

VIEW_COLUMNS: Final = (
    "id,task_type,status,params,attempts,created_at,updated_at,phase,progress,priority,queue_position,worker_id,"
    "error_class,error_message,output_location,preview_location,result,generation_started_at,"
    "generation_processed_at,origin_id,dependant_on"
)


def claim_from(answer: Mapping[str, Any]) -> Claim:
    """The answer of claim_task_v1."""
    return Claim(
        task_id=answer["task_id"],
        attempt=answer["attempt"],
        task_type=answer["task_type"],
        params=answer["params"],
        owner=answer["owner"],
        lease_seconds=float(answer["lease_seconds"]),
        output_prefix=answer["output_prefix"],
        project_id=answer["project_id"],
        checkpoints=tuple(
            Checkpoint(entry["index"], entry["input_hash"], entry["object_key"])
            for entry in answer["checkpoints"]
        ),
        continued=_continued(answer.get("continued")),
    )


def _continued(told: Mapping[str, Any] | None) -> Continued | None:
    """Before its last migrations are applied, a project tells neither the video nor the task."""
    if told is None:
        return None
    return Continued(TaskStatus(told["status"]), told["latents"], told.get("video"), told.get("task_id"))


def view_from(row: Mapping[str, Any]) -> TaskView:
    """A row of task_status_v1."""
    return TaskView(
        id=row["id"],
        task_type=row["task_type"],
        status=TaskStatus(row["status"]),
        params=row["params"],
        attempts=row["attempts"],
        created_at=_utc(row["created_at"]) or "",
        updated_at=_utc(row["updated_at"]) or "",
        phase=row["phase"],
        progress=row["progress"],
        priority=row["priority"],
        queue_position=row["queue_position"],
        worker_id=row["worker_id"],
        error_class=row["error_class"],
        error_message=row["error_message"],
        output_location=row["output_location"],
        preview_location=row["preview_location"],
        result=row["result"],
        generation_started_at=_utc(row["generation_started_at"]),
        generation_processed_at=_utc(row["generation_processed_at"]),
        origin=row["origin_id"],
        dependant_on=tuple(row["dependant_on"] or ()),
    )


def _utc(moment: str | None) -> str | None:
    if moment is None:
        return None
    return datetime.fromisoformat(moment).astimezone(UTC).isoformat(timespec="milliseconds")
