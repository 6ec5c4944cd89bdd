"""Brings the files that a task names onto this machine: URLs through the fetch guard, objects from storage."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import structlog

from headless.errors import BadInput, BadParams, Unsafe
from headless.media.fetch import fetch_url
from headless.media.guard import redact_url
from headless.media.images import ImageLimits, load_image
from headless.ports import Storage, TaskQueue
from headless.segment import Picture
from headless.task import TaskStatus
from headless.job import JobServices

STORAGE_SCHEME = "storage://"
PICTURE_FIELDS = ("start_image", "end_image", "anchor_image")
FILE_FIELDS = (*PICTURE_FIELDS, "pad_video", "known_mask", "continue_from")

log = structlog.get_logger(__name__)


@dataclass(frozen=True)
class InputFile:
    """A file that is here now. `sha256` is of its bytes, in hex."""

    path: Path
    sha256: str


@dataclass(frozen=True)
class Inputs:
    """Everything that a task's parameters referred to, by field name."""

    files: dict[str, InputFile] = field(default_factory=dict)
    pictures: dict[str, Picture] = field(default_factory=dict)
    previous_latents: InputFile | None = None

    def hashes(self) -> dict[str, str]:
        """Field -> SHA-256 of the file, for the result."""
        found = {name: file.sha256 for name, file in self.files.items()}
        return found | ({"continue_from": self.previous_latents.sha256} if self.previous_latents else {})

    def sizes(self) -> dict[str, tuple[int, int]]:
        """Field -> (width, height) of the pictures as given."""
        return {name: (p.shape[1], p.shape[0]) for name, p in self.pictures.items()}


class InputFetcher:
    """Fetches the inputs of one task into one folder. `check()` is called between files and may raise."""

    def __init__(self, services: JobServices, owner: str, folder: Path, check: Callable[[], None]) -> None:
        self._services = services
        self._owner = owner
        self._folder = folder
        self._check = check

    def fetch(self, references: dict[str, str]) -> Inputs:
        """Files for `references` (field -> reference), pictures decoded.

        Raises `BadInput`, `Unsafe`, `InputUnavailable` or `DiskFull`, each naming the field.
        """
        inputs = Inputs()
        for name, reference in references.items():
            self._check()
            if name == "continue_from" and is_task_id(reference):
                latents = self._latents_of(reference)
                inputs = Inputs(inputs.files, inputs.pictures, latents)
                continue
            file = self.file(name, reference)
            inputs.files[name] = file
            if name in PICTURE_FIELDS:
                inputs.pictures[name] = load_image(file.path, field=name, limits=ImageLimits())
            log.info("input fetched", field=name, source=redact_url(reference), sha256=file.sha256[:12])
        return inputs

    def file(self, name: str, reference: str) -> InputFile:
        """One referenced file."""
        destination = self._folder / name
        if reference.startswith(STORAGE_SCHEME):
            return self._stored(name, reference.removeprefix(STORAGE_SCHEME), destination)
        fetched = fetch_url(
            reference,
            destination,
            policy=self._services.fetch_policy,
            limits=self._services.fetch_limits,
            check=self._check,
            field=name,
        )
        return InputFile(fetched.path, fetched.sha256)

    def _stored(self, name: str, key: str, destination: Path) -> InputFile:
        if not key.startswith((f"inputs/{self._owner}/", f"outputs/{self._owner}/")):
            raise Unsafe(
                f"{name}: {STORAGE_SCHEME}{key} belongs to somebody else. "
                f"A task may read what lies under inputs/{self._owner}/ and outputs/{self._owner}/."
            )
        try:
            stored = self._services.storage.fetch(key, destination, self._services.fetch_limits.max_bytes)
        except BadInput as error:
            raise BadInput(f"{name}: {error.message}") from error
        return InputFile(destination, stored.sha256)

    def _latents_of(self, task_id: str) -> InputFile:
        view = self._services.queue.get(task_id)
        if view is None:
            raise BadParams(f"continue_from: there is no task {task_id} in this queue.")
        if view.status is not TaskStatus.COMPLETE or view.result is None:
            raise BadParams(
                f"continue_from: task {task_id} is {view.status.value}. Only a Complete task can be continued; "
                "list it in dependant_on to wait for it."
            )
        files = view.result.get("files")
        latents = files.get("latents") if isinstance(files, dict) else None
        key = latents.get("key") if isinstance(latents, dict) else None
        if not isinstance(key, str):
            raise BadParams(f"continue_from: task {task_id} left no latents to continue from. Give its video instead.")
        return self._stored("continue_from", key, self._folder / "previous.safetensors")


def is_task_id(reference: str) -> bool:
    """Whether a reference is a task's id and not an address."""
    return "://" not in reference
