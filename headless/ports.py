"""The seams. One contract suite per seam runs against every implementation."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from headless.segment import EngineListener, Generation, SegmentRequest
from headless.task import (
    CancelAnswer,
    Capability,
    Claim,
    CompleteAnswer,
    FencedAnswer,
    Json,
    NewTask,
    Progress,
    RenewAnswer,
    Report,
    TaskStatus,
    TaskView,
)


class TaskQueue(Protocol):
    """The queue. The first six calls are a worker's and fenced; the others are a user's.

    `report` is what the attempt's row keeps about the attempt, however it ends; one that cannot be stored is
    replaced by the reason, and never a reason to refuse the call.
    Every call raises `QueueUnavailable` when the queue does not answer; `LOST` is an answer, not an error.
    """

    @property
    def owner(self) -> str:
        """Under whose name this caller's inputs lie: `inputs/<owner>/...`."""

    def claim(self, worker_id: str, claim_id: str, capability: Capability) -> Claim | None:
        """Take one task, or none. The same `claim_id` returns the same task and attempt again."""

    def renew(self, task_id: str, attempt: int, progress: Progress) -> RenewAnswer:
        """Prolong the lease and report progress."""

    def checkpoint(
        self, task_id: str, attempt: int, index: int, input_hash: str, object_key: str
    ) -> FencedAnswer:
        """Record a finished segment, so that a later attempt starts after it."""

    def complete(
        self,
        task_id: str,
        attempt: int,
        object_key: str,
        sha256: str,
        result: Mapping[str, Json],
        report: Report = None,
    ) -> CompleteAnswer:
        """Publish the output and finish the task, in one transaction."""

    def fail(
        self,
        task_id: str,
        attempt: int,
        error_class: str,
        message: str,
        retry: bool,
        report: Report = None,
    ) -> FencedAnswer:
        """Fail the attempt. With `retry` the task is queued again, later each time, up to three times."""

    def release(
        self,
        task_id: str,
        attempt: int,
        reason: str,
        delay_seconds: float = 0.0,
        report: Report = None,
    ) -> FencedAnswer:
        """Give the task back; its attempt is not charged, and nobody claims it for `delay_seconds`."""

    def enqueue(self, task: NewTask) -> str:
        """Queue a task and return its id."""

    def cancel(self, task_id: str) -> CancelAnswer:
        """Cancel a queued task at once, or ask the worker of a running one to stop."""

    def retry(self, task_id: str) -> str | None:
        """Queue a copy of a finished task that names its origin; `None` if there is no such finished task."""

    def get(self, task_id: str) -> TaskView | None:
        """One task, or `None`."""

    def list(self, status: TaskStatus | None = None, limit: int = 50) -> list[TaskView]:
        """Tasks, newest first."""

    def queued(self) -> int:
        """How many tasks still wait for a worker, those not due yet included."""

    def close(self) -> None:
        """Let go of connections."""


@dataclass(frozen=True)
class StoredObject:
    """An object in storage: its key, the SHA-256 of its bytes in hex, its size in bytes."""

    key: str
    sha256: str
    size: int


class Storage(Protocol):
    """Named blobs. Keys are relative, `/`-separated, without `..`; an unsafe key raises `Unsafe`.

    Raises `StorageUnavailable` when storage does not answer, `DiskFull` when there is no room.
    """

    def put(self, key: str, source: Path, content_type: str) -> StoredObject:
        """Store a file and verify it. An existing key with the same bytes is fine; others raise `Unsafe`."""

    def fetch(self, key: str, destination: Path, limit_bytes: int) -> StoredObject:
        """Copy an object to a local file. `BadInput` when absent or larger than the limit."""

    def exists(self, key: str) -> bool:
        """Whether there is such an object."""

    def locate(self, key: str) -> str:
        """A path or URL at which a person can open the object."""


class Engine(Protocol):
    """Loads models and generates one segment at a time. Not thread-safe: one job at a time."""

    @property
    def loaded_model(self) -> str | None:
        """Id of the model that is in memory."""

    @property
    def model_def(self) -> dict[str, Any]:
        """The loaded model's own definition, which is patched around a job; empty before a load."""

    def load(self, model: str, listener: EngineListener) -> None:
        """Bring a model into memory. `ModelMissing` names the file that is absent."""

    def generate(self, request: SegmentRequest, listener: EngineListener) -> Generation:
        """Encode, condition and sample; frames are decoded while the answer's `frames` is read."""

    def versions(self) -> dict[str, str]:
        """Versions of what decides the result: engine, torch, device."""


class ModelDefinition(Protocol):
    """One model: the `model` section of its file after inheritance, and the settings beside it."""

    @property
    def id(self) -> str:
        """The file's stem."""

    @property
    def name(self) -> str:
        """What people call it."""

    @property
    def architecture(self) -> str:
        """Which network it is."""

    @property
    def model_def(self) -> Mapping[str, Any]:
        """The `model` section; a patch of `models_def` shows through."""

    @property
    def settings(self) -> Mapping[str, Any]:
        """Defaults of its tasks, under the names of parameters where there is one."""


class ModelRegistry(Protocol):
    """`models_def` and what is derived from it. Needs no torch."""

    @property
    def models_def(self) -> dict[str, dict[str, Any]]:
        """Model id -> its `model` section; the object that is patched around a job."""

    def definition(self, model: str) -> ModelDefinition:
        """A typed view. `BadParams` names the nearest known ids for an unknown one."""

    def names(self) -> tuple[str, ...]:
        """Every id, sorted."""


class Clock(Protocol):
    """Time, so that tests need not wait for it."""

    def monotonic(self) -> float:
        """Seconds from an arbitrary start, never going back."""

    def sleep(self, seconds: float) -> None:
        """Wait."""
