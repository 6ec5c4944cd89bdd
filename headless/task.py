"""The vocabulary of the queue: statuses, phases, claims, answers and what a user sees of a task."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import TypeAlias

Json: TypeAlias = "bool | int | float | str | list[Json] | dict[str, Json] | None"
Report: TypeAlias = "Mapping[str, Json] | None"
"""What a worker tells about an attempt when it ends; `headless.attempt_report` says what."""


class TaskStatus(StrEnum):
    """States of a task, spelled as existing frontends read them. The last three are final."""

    QUEUED = "Queued"
    IN_PROGRESS = "In Progress"
    COMPLETE = "Complete"
    FAILED = "Failed"
    CANCELLED = "Cancelled"

    @property
    def final(self) -> bool:
        """Whether the state can never change again."""
        return self in (TaskStatus.COMPLETE, TaskStatus.FAILED, TaskStatus.CANCELLED)


class Phase(StrEnum):
    """What a claimed task is doing."""

    CLAIMED = "claimed"
    FETCHING = "fetching"
    LOADING = "loading"
    ENCODING = "encoding"
    DENOISING = "denoising"
    DECODING = "decoding"
    CHECKING = "checking"
    UPLOADING = "uploading"


class RenewAnswer(StrEnum):
    """Answer to a renewal of the lease."""

    OK = "ok"
    CANCEL = "cancel"
    LOST = "lost"


class FencedAnswer(StrEnum):
    """Answer to a call that only the owner of the current attempt may make."""

    OK = "ok"
    LOST = "lost"


class CompleteAnswer(StrEnum):
    """Answer to a completion. `ALREADY`: this very attempt and file were published before."""

    DONE = "done"
    ALREADY = "already"
    LOST = "lost"


class CancelAnswer(StrEnum):
    """Answer to a user's cancellation."""

    CANCELLED = "cancelled"
    REQUESTED = "requested"
    FINAL = "final"
    UNKNOWN = "unknown"


@dataclass(frozen=True)
class Capability:
    """What a worker can run: its loaded model (for affinity) and a free description for the workers table."""

    loaded_model: str | None = None
    description: Mapping[str, Json] = field(default_factory=dict)


@dataclass(frozen=True)
class Checkpoint:
    """A finished segment of an earlier attempt. `object_key` holds its lossless hand-off latents."""

    index: int
    input_hash: str
    object_key: str


@dataclass(frozen=True)
class Continued:
    """The owner's task that a claimed one continues.

    `latents_key`: where its latents lie, if it left any. `video_key`: where its video lies, once it is
    Complete: the key of an object, or whatever another program wrote in its place.
    """

    status: TaskStatus
    latents_key: str | None
    video_key: str | None = None
    task_id: str | None = None

    @classmethod
    def expected(cls, parents: Sequence[str]) -> Continued | None:
        """What a claim may tell once `parents` are Complete, for who looks at a task before that."""
        return cls(TaskStatus.QUEUED, None, None, parents[-1]) if parents else None


@dataclass(frozen=True)
class Claim:
    """One task, owned by this worker until its lease expires.

    `attempt` rises with every claim and never repeats: it is the fence. `owner` is the user's id, or
    `local` where the queue knows no users; inputs lie under `inputs/<owner>/`, and everything this attempt
    writes lies under `output_prefix` (`outputs/<owner>/<task_id>/<attempt>`). `continued` is the task that
    `continue_from` or `extend_from` names, where it names one of this owner: a worker may not look at other
    tasks itself. Where neither names a task, it is the last task of `dependant_on` that left latents, or the
    last of all when none did.
    """

    task_id: str
    attempt: int
    task_type: str
    params: Json
    owner: str
    lease_seconds: float
    output_prefix: str
    project_id: str | None = None
    checkpoints: tuple[Checkpoint, ...] = ()
    continued: Continued | None = None


@dataclass(frozen=True)
class Progress:
    """How far a claimed task is. `percent` runs from 0 to 100 over the whole task.

    `waiting`: it is prepared and waits for the engine, which another task has. A worker that vanishes then is
    not counted against this task. `stalled`: the process lives, but no step has ended for far too long.
    """

    phase: Phase
    segment: int = 0
    segments: int = 1
    step: int = 0
    steps: int = 0
    percent: float = 0.0
    preview_key: str | None = None
    waiting: bool = False
    stalled: bool = False

    def as_json(self) -> dict[str, Json]:
        """The object that reaches the task's `progress` column."""
        return {
            "phase": self.phase.value,
            "segment": self.segment,
            "segments": self.segments,
            "step": self.step,
            "steps": self.steps,
            "percent": round(self.percent, 1),
            "preview": self.preview_key,
            **({"waiting": True} if self.waiting else {}),
            **({"stalled": True} if self.stalled else {}),
        }


@dataclass(frozen=True)
class NewTask:
    """A task as a user queues it.

    A repeated `idempotency_key` (per owner) returns the first task's id instead of queueing another.
    `run_after_seconds` delays the first claim; a higher `priority` is claimed first.
    """

    params: Json
    task_type: str = "generate"
    priority: int = 0
    dependant_on: tuple[str, ...] = ()
    idempotency_key: str | None = None
    project_id: str | None = None
    run_after_seconds: float = 0.0


@dataclass(frozen=True)
class TaskView:
    """A task's row as a user sees it. Times are ISO 8601 in UTC; `origin`: the task that this one copies;
    `dependant_on`: the tasks that it waits or waited for, in the order given."""

    id: str
    task_type: str
    status: TaskStatus
    params: Json
    attempts: int
    created_at: str
    updated_at: str
    phase: str | None = None
    progress: Mapping[str, Json] = field(default_factory=dict)
    priority: int = 0
    queue_position: int | None = None
    worker_id: str | None = None
    error_class: str | None = None
    error_message: str | None = None
    output_location: str | None = None
    preview_location: str | None = None
    result: Mapping[str, Json] | None = None
    generation_started_at: str | None = None
    generation_processed_at: str | None = None
    origin: str | None = None
    dependant_on: tuple[str, ...] = ()
