"""`pulled.json`: which commit every pulled file came from, its size and its hash.

It is written before a file gets its name, so that a file which a pull put there is never unknown.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Final, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from headless.errors import ModelMissing
from headless.media.whole_file import whole_file

FILE_NAME: Final = "pulled.json"


class PulledFile(BaseModel):
    """One file: where it came from and what it must be."""

    model_config = ConfigDict(strict=True, frozen=True, extra="forbid")

    repository: str
    commit: Annotated[str, Field(pattern=r"^[0-9a-f]{40}$")]
    path: str
    size: Annotated[int, Field(ge=0)]
    sha256: Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]


class Record(BaseModel):
    """The whole file. `revisions`: `OWNER/NAME@branch` -> the commit it was when first pulled."""

    model_config = ConfigDict(strict=True, frozen=True, extra="forbid")

    format: Literal[1] = 1
    revisions: dict[str, str] = {}
    files: dict[str, PulledFile] = {}

    def below(self, place: str) -> Mapping[str, PulledFile]:
        """The recorded files at a place, or below it where it is a folder."""
        return {
            name: file for name, file in self.files.items() if name == place or name.startswith(f"{place}/")
        }

    def adding(self, revisions: Mapping[str, str], files: Mapping[str, PulledFile]) -> Record:
        """A record that knows these too."""
        return Record(revisions={**self.revisions, **revisions}, files={**self.files, **files})


def read_record(folder: Path) -> Record:
    """The record of a models folder; empty where nothing was pulled. `ModelMissing` if it is damaged."""
    path = folder / FILE_NAME
    try:
        return Record.model_validate_json(path.read_bytes())
    except FileNotFoundError:
        return Record()
    except (OSError, ValidationError) as error:
        raise ModelMissing(
            f"{path} cannot be read ({str(error).splitlines()[0]}). Move it away; the next pull checks the "
            "files that are there and writes it anew."
        ) from error


def write_record(folder: Path, record: Record) -> None:
    """Replace the record, whole or not at all, also if the power fails."""
    with whole_file(folder / FILE_NAME) as part, part.open("w", encoding="utf-8") as file:
        json.dump(record.model_dump(), file, indent=1, sort_keys=True)
        file.flush()
        os.fsync(file.fileno())


def git_hash_of(path: Path) -> str:
    """The name that git gives a file with these bytes; the hub knows small files by it alone."""
    digest = hashlib.sha1(b"blob %d\0" % path.stat().st_size, usedforsecurity=False)
    with path.open("rb") as file:
        while piece := file.read(1 << 20):
            digest.update(piece)
    return digest.hexdigest()
