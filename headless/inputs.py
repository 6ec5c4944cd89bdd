"""Brings the files that a task names here: URLs through the fetch guard, objects from storage."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeVar

import structlog

from headless.errors import BadInput, BadParams, Unsafe
from headless.job import JobServices
from headless.media.fetch import fetch_url
from headless.media.guard import redact_url
from headless.media.images import ImageLimits, image_size, load_image
from headless.media.video import VideoInfo, probe
from headless.params.references import STORAGE, is_task_id
from headless.planning.chain import ChainClip
from headless.segment import Picture
from headless.task import Claim, Continued, TaskStatus
from wan2gp_patch.frames import Source

PICTURE_FIELDS = ("start_image", "end_image", "anchor_image")
VIDEO_FIELDS = ("continue_from", "extend_from")

T = TypeVar("T")

log = structlog.get_logger(__name__)


@dataclass(frozen=True)
class InputFile:
    """A file that is here now. `sha256` is of its bytes, in hex."""

    path: Path
    sha256: str


@dataclass(frozen=True)
class GivenPicture:
    """A picture that is here, not decoded: a task may have more of them than there is memory.

    `size`: (width, height), upright. `name`: the field that messages call it by.
    """

    path: Path
    size: tuple[int, int]
    name: str

    @classmethod
    def at(cls, path: Path, name: str) -> GivenPicture:
        """From its header. Raises `BadInput`."""
        return cls(path, image_size(path, field=name, limits=ImageLimits()), name)

    def load(self) -> Picture:
        """Decode it. Raises `BadInput`."""
        return load_image(self.path, field=self.name, limits=ImageLimits())


@dataclass(frozen=True)
class Inputs:
    """Everything that a task's parameters referred to, by field name: of a task, or of one of its clips.

    `latents` and `videos`: what `continue_from` and `extend_from` lead to. One that names a task may lead to
    both.
    """

    files: dict[str, InputFile] = field(default_factory=dict)
    pictures: dict[str, GivenPicture] = field(default_factory=dict)
    latents: dict[str, InputFile] = field(default_factory=dict)
    videos: dict[str, VideoInfo] = field(default_factory=dict)

    @property
    def previous_latents(self) -> InputFile | None:
        """The latents that a clip goes on from."""
        return self.latents.get("continue_from")

    def hashes(self) -> dict[str, str]:
        """Field -> SHA-256 of the file, for the result."""
        found = {name: file.sha256 for name, file in self.files.items()}
        for name, file in self.latents.items():
            found[f"{name}.latents" if name in found else name] = file.sha256
        return found

    def sizes(self) -> dict[str, tuple[int, int]]:
        """Field -> (width, height) of the pictures, and of the video that is continued, as given."""
        found = {name: picture.size for name, picture in self.pictures.items()}
        return found | {name: (video.width, video.height) for name, video in self.videos.items()}

    def of_clip(self, clip: ChainClip) -> Inputs:
        """The inputs of one clip, under the names that it has for them."""
        through_latents = clip.index == 0 and clip.continues is Source.LATENTS
        files = _named(self.files, clip.fields)
        if through_latents:
            files.pop("continue_from", None)
        return Inputs(
            files,
            _named(self.pictures, clip.fields),
            _named(self.latents, clip.fields) if through_latents else {},
            _named(self.videos, clip.fields),
        )


def _named(found: Mapping[str, T], fields: Mapping[str, str]) -> dict[str, T]:
    return {field: found[name] for field, name in fields.items() if name in found}


class InputFetcher:
    """Fetches the inputs of one task into one folder. `check()` is called between files and may raise."""

    def __init__(self, services: JobServices, claim: Claim, folder: Path, check: Callable[[], None]) -> None:
        self._services = services
        self._claim = claim
        self._owner = claim.owner
        self._folder = folder
        self._check = check

    def fetch(self, references: dict[str, str]) -> Inputs:
        """Files for `references` (field -> reference); of pictures the headers are read.

        Raises `BadInput`, `Unsafe`, `InputUnavailable` or `DiskFull`, each naming the field.
        """
        inputs = Inputs()
        first: dict[str, str] = {}
        for name, reference in references.items():
            self._check()
            known = first.setdefault(reference, name)
            if known != name and known in inputs.files:
                inputs.files[name] = inputs.files[known]
            elif name in VIDEO_FIELDS and is_task_id(reference):
                self._of_task(name, reference, inputs)
            else:
                inputs.files[name] = file = self.file(name, reference)
                log.info("input fetched", field=name, source=redact_url(reference), sha256=file.sha256[:12])
            self._look_into(name, known, inputs)
        return inputs

    def _look_into(self, name: str, known: str, inputs: Inputs) -> None:
        """Describe a picture or a video. `known`: the first field with the same reference."""
        file = inputs.files.get(name)
        if file is None:
            return
        if is_picture_field(name):
            inputs.pictures[name] = inputs.pictures.get(known) or GivenPicture.at(file.path, name)
        elif name in VIDEO_FIELDS:
            inputs.videos[name] = probe(file.path, field=name)

    def _of_task(self, name: str, task_id: str, inputs: Inputs) -> None:
        """What a task left: to be continued its latents, to be extended its video as well."""
        found = self._finished(name, task_id)
        if name == "continue_from" and found.latents_key is None:
            raise BadParams(
                f"{name}: task {task_id} left no latents to continue from. Give its video instead."
            )
        if found.latents_key is not None:
            path = self._folder / "previous.safetensors"
            inputs.latents[name] = self._stored(name, found.latents_key, path)
        if name == "continue_from":
            return
        if found.video_key is None:
            raise BadParams(f"{name}: task {task_id} left no video to extend. Give a video instead.")
        key = found.video_key
        inputs.files[name] = self.file(name, key if "://" in key else STORAGE + key)

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

    def _finished(self, name: str, task_id: str) -> Continued:
        found = self._claim.continued
        if found is None:
            raise BadParams(f"{name}: there is no task {task_id} in this queue.")
        if found.status is not TaskStatus.COMPLETE:
            raise BadParams(
                f"{name}: task {task_id} is {found.status.value}. Only a Complete task can be "
                "continued; list it in dependant_on to wait for it."
            )
        return found


def is_picture_field(name: str) -> bool:
    """Whether a field of a task, `images[3]` or `segments[2].end_image`, names a picture."""
    return name.rpartition(".")[2] in PICTURE_FIELDS or name.startswith("images[")
