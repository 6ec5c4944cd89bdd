"""What a model definition names: its parts, where each may lie, and where each may be fetched from."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import Any, Final
from urllib.parse import unquote, urlsplit

from headless.errors import UsageError
from models.definition import ROLES
from models.lora_files import BadLora, UnsafeLora, lora_file_name

LORA: Final = "lora"
LORA_FOLDER: Final = "loras"
DEFAULT_REVISION: Final = "main"
_URLS: Final = {"transformer": "URLs", "transformer_2": "URLs2"}
_RESOLVE: Final = re.compile(r"/([^/]+/[^/]+)/resolve/([^/]+)/(.+)")
_SINGLE_FILES: Final = (".safetensors", ".gguf")
_COMMIT: Final = re.compile(r"[0-9a-f]{40}")


@dataclass(frozen=True)
class Source:
    """A file or folder of a repository on the hub, at a revision: a commit, or a branch that may move."""

    repository: str
    revision: str
    path: str

    @property
    def pinned(self) -> bool:
        """Whether the revision is a commit, which never changes."""
        return _COMMIT.fullmatch(self.revision) is not None

    def __str__(self) -> str:
        return f"{self.repository}@{self.revision[:12]}:{self.path}"


@dataclass(frozen=True)
class Choice:
    """One way to have a part: its place below the models folder, and where it comes from if that is known."""

    place: str
    source: Source | None


@dataclass(frozen=True)
class Part:
    """One part of a model. Any one of its choices will do; the first is preferred."""

    role: str
    choices: tuple[Choice, ...]


def parts_of(
    model_def: Mapping[str, Any], base: Mapping[str, Any] | None = None, picked: str | None = None
) -> tuple[Part, ...]:
    """The parts of a model in the order of their roles, then its LoRAs.

    `base` is the definition that it takes shared parts from. `picked` keeps, of parts that are also published
    as single files, those choices whose file name contains it. Raises `UsageError` where that leaves nothing.
    """
    found = [_part(role, model_def, base) for role in ROLES]
    parts = [part for part in found if part.choices]
    if picked and not any(_single_files(part) for part in parts):
        raise UsageError(f"--pick {picked!r}: this model has no single files to pick from.")
    return (*(_pick(part, picked) for part in parts), *_loras(model_def))


def _part(role: str, model_def: Mapping[str, Any], base: Mapping[str, Any] | None) -> Part:
    choices = []
    place = model_def.get("files", {}).get(role)
    if place:
        choices.append(Choice(str(place), _in_repository(str(place), model_def, base or {})))
    for url in model_def.get(_URLS.get(role, ""), []):
        choices.append(_of_url(str(url)))
    return Part(role, tuple(choices))


def _in_repository(place: str, *definitions: Mapping[str, Any]) -> Source | None:
    """`NAME/folder` is `folder` of the repository `OWNER/NAME`."""
    first, _, rest = place.partition("/")
    for definition in definitions:
        repository = str(definition.get("repository") or "")
        if rest and repository.rpartition("/")[2] == first:
            return Source(repository, str(definition.get("revision") or DEFAULT_REVISION), rest)
    return None


def _of_url(url: str) -> Choice:
    path = unquote(urlsplit(url).path)
    found = _RESOLVE.fullmatch(path)
    name = path.rpartition("/")[2]
    return Choice(name, Source(*found.groups()) if found else None)


def _loras(model_def: Mapping[str, Any]) -> list[Part]:
    found = []
    for name in map(str, model_def.get("loras", [])):
        try:
            place = str(PurePosixPath(LORA_FOLDER) / lora_file_name(name))
        except (UnsafeLora, BadLora) as error:
            raise UsageError(f"loras: {error}") from error
        source = _of_url(name).source if "://" in name else None
        found.append(Part(LORA, (Choice(place, source),)))
    return found


def _single_files(part: Part) -> list[Choice]:
    return [c for c in part.choices if part.role in _URLS and c.place.endswith(_SINGLE_FILES)]


def _pick(part: Part, picked: str | None) -> Part:
    files = _single_files(part)
    if not picked or not files:
        return part
    kept = tuple(choice for choice in files if picked in choice.place)
    if not kept:
        names = ", ".join(choice.place for choice in files)
        raise UsageError(f"--pick {picked!r} fits no single file of the {part.role}. There are: {names}.")
    return Part(part.role, kept)
