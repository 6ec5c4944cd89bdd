"""Whether a part is on this machine, and whole."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Final

from headless.fingerprint import sha256_of
from headless.model_store.parts import Part
from headless.model_store.record import Record
from models.safetensors_header import NotSafetensors, read_header
from models.weights_gguf_header import NotGguf, read_gguf_header

_INDEX: Final = ".safetensors.index.json"
_HEADERS: Final[Mapping[str, Callable[[Path], object]]] = {
    ".safetensors": read_header,
    ".gguf": read_gguf_header,
}
_NEEDED: Final = {"tokenizer": "tokenizer.json", "image_processor": "preprocessor_config.json"}
"""What a folder without weights must hold."""


class State(StrEnum):
    """`UNRECORDED`: whole as far as its header says; nothing tells what its hash should be."""

    PRESENT = "present"
    UNRECORDED = "unrecorded"
    DAMAGED = "damaged"
    MISSING = "missing"


@dataclass(frozen=True)
class Presence:
    """What was found of a part. `path` is where it lies; `why` says what is wrong or unknown."""

    role: str
    state: State
    place: str
    path: Path | None = None
    why: str = ""
    size: int = 0

    @property
    def usable(self) -> bool:
        """Whether the engine can load it as far as this look could tell."""
        return self.state in (State.PRESENT, State.UNRECORDED)


def look(part: Part, folders: Sequence[Path], records: Sequence[Record], full: bool = False) -> Presence:
    """Look for a part as the engine does: the first choice that exists in the first folder that has it.

    `full` reads the files and compares hashes; without it sizes and headers have to do.
    """
    for choice in part.choices:
        for folder, record in zip(folders, records, strict=True):
            path = folder / choice.place
            if path.exists():
                return _judged(part.role, choice.place, path, record, full)
    return Presence(part.role, State.MISSING, part.choices[0].place)


def _judged(role: str, place: str, path: Path, record: Record, full: bool) -> Presence:
    size = sum(file.stat().st_size for file in _files(path))
    try:
        wrong = next(_damage(role, place, path, record, full), None)
    except OSError as error:
        wrong = f"{error.filename} cannot be read ({error.strerror})"
    if wrong is not None:
        return Presence(role, State.DAMAGED, place, path, wrong, size)
    if not record.below(place):
        return Presence(role, State.UNRECORDED, place, path, "not pulled here, so its hash is unknown", size)
    return Presence(role, State.PRESENT, place, path, "", size)


def _damage(role: str, place: str, path: Path, record: Record, full: bool) -> Iterator[str]:
    for name, pulled in record.below(place).items():
        file = path / name[len(place) + 1 :] if name != place else path
        if not file.is_file():
            yield f"{file} is missing"
        elif file.stat().st_size != pulled.size:
            yield f"{file} has {file.stat().st_size} bytes, not {pulled.size}"
        elif full and sha256_of(file) != pulled.sha256:
            yield f"{file} has another SHA-256 than the file that was pulled"
    yield from _structure(role, path)


def _structure(role: str, path: Path) -> Iterator[str]:
    files = list(_files(path))
    for file in files:
        if file.suffix in _HEADERS:
            try:
                _HEADERS[file.suffix](file)
            except (NotSafetensors, NotGguf) as error:
                yield f"{file} is no complete {file.suffix} file: {error}"
        elif file.name.endswith(_INDEX):
            yield from _absent_shards(file)
    if not path.is_dir():
        return
    needed = _NEEDED.get(role)
    if needed is not None and not (path / needed).is_file():
        yield f"{path} has no {needed}"
    elif needed is None and not any(file.suffix == ".safetensors" for file in files):
        yield f"{path} has no .safetensors file"


def _absent_shards(index: Path) -> Iterator[str]:
    try:
        shards = sorted(set(json.loads(index.read_text(encoding="utf-8"))["weight_map"].values()))
    except (ValueError, KeyError, TypeError, AttributeError):
        yield f"{index} is no index of shards"
        return
    for shard in shards:
        if not (index.parent / str(shard)).is_file():
            yield f"{index.parent / str(shard)} is missing, and the index beside it names it"


def _files(path: Path) -> list[Path]:
    if path.is_dir():
        return sorted(file for file in path.rglob("*") if file.is_file())
    return [path]
