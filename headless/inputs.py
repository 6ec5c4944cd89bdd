"""Brings the files that a task names here: URLs through the fetch guard, objects from storage."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path

import structlog

from headless.errors import BadInput, BadParams, Unsafe
from headless.job import JobServices
from headless.media.fetch import fetch_url
from headless.media.guard import redact_url
from headless.media.images import ImageLimits, load_image
from headless.media.video import VideoInfo, probe
from headless.params.references import STORAGE, is_task_id
from headless.segment import Picture
from headless.task import Claim, TaskStatus

PICTURE_FIELDS = ("start_image", "end_image", "anchor_image")

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
    previous_video: VideoInfo | None = None

    def hashes(self) -> dict[str, str]:
        """Field -> SHA-256 of the file, for the result."""
        found = {name: file.sha256 for name, file in self.files.items()}
        return found | ({"continue_from": self.previous_latents.sha256} if self.previous_latents else {})

    def sizes(self) -> dict[str, tuple[int, int]]:
        """Field -> (width, height) of the pictures, and of the video that is continued, as given."""
        found = {name: (p.shape[1], p.shape[0]) for name, p in self.pictures.items()}
        if self.previous_video is not None:
            found["continue_from"] = (self.previous_video.width, self.previous_video.height)
        return found


class InputFetcher:
    """Fetches the inputs of one task into one folder. `check()` is called between files and may raise."""

    def __init__(self, services: JobServices, claim: Claim, folder: Path, check: Callable[[], None]) -> None:
        self._services = services
        self._claim = claim
        self._owner = claim.owner
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
                inputs = replace(inputs, previous_latents=latents)
                continue
            file = self.file(name, reference)
            inputs.files[name] = file
            if name in PICTURE_FIELDS:
                inputs.pictures[name] = load_image(file.path, field=name, limits=ImageLimits())
            elif name == "continue_from":
                inputs = replace(inputs, previous_video=probe(file.path, field=name))
            log.info("input fetched", field=name, source=redact_url(reference), sha256=file.sha256[:12])
        return inputs

    def file(self, name: str, reference: str) -> InputFile:
        """One referenced file."""
        destination = self._folder / name
        if reference.startswith(STORAGE):
            return self._stored(name, reference.removeprefix(STORAGE), destination)
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
                f"{name}: {STORAGE}{key} belongs to somebody else. "
                f"A task may read what lies under inputs/{self._owner}/ and outputs/{self._owner}/."
            )
        try:
            stored = self._services.storage.fetch(key, destination, self._services.fetch_limits.max_bytes)
        except BadInput as error:
            raise BadInput(f"{name}: {error.message}") from error
        return InputFile(destination, stored.sha256)

    def _latents_of(self, task_id: str) -> InputFile:
        found = self._claim.continued
        if found is None:
            raise BadParams(f"continue_from: there is no task {task_id} in this queue.")
        if found.status is not TaskStatus.COMPLETE:
            raise BadParams(
                f"continue_from: task {task_id} is {found.status.value}. Only a Complete task can be "
                "continued; list it in dependant_on to wait for it."
            )
        if found.latents_key is None:
            raise BadParams(
                f"continue_from: task {task_id} left no latents to continue from. Give its video instead."
            )
        return self._stored("continue_from", found.latents_key, self._folder / "previous.safetensors")
