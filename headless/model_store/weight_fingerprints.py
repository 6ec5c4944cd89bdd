"""Which weights a model is made of: fingerprints of its files, found where the engine finds them."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import structlog

from headless.errors import UsageError
from headless.fingerprint import fingerprint
from headless.model_store.parts import LORA, Part, parts_of

log = structlog.get_logger(__name__)


class WeightFingerprints:
    """Looks into `folders`, in this order. A file is read again only where its size or time has changed."""

    def __init__(self, folders: Sequence[Path]) -> None:
        self._folders = tuple(folders)
        self._known: dict[tuple[Path, int, int], str] = {}

    def of(self, model_def: Mapping[str, Any]) -> dict[str, str]:
        """Role -> fingerprint. A part that is absent or cannot be read is not in it: its load will say so."""
        try:
            parts = [part for part in parts_of(model_def) if part.role != LORA]
        except UsageError as error:
            log.warning("the weights have no fingerprints", why=error.message)
            return {}
        found = {}
        for part in parts:
            path = self._find(part)
            if path is None:
                continue
            try:
                found[part.role] = self._of_part(path)
            except OSError as error:
                log.warning("a part has no fingerprint", role=part.role, why=str(error))
        return found

    def _find(self, part: Part) -> Path | None:
        places = [folder / choice.place for choice in part.choices for folder in self._folders]
        return next((place for place in places if place.exists()), None)

    def _of_part(self, path: Path) -> str:
        """Of a folder: SHA-256 over the names and fingerprints of its files, hidden ones left out."""
        if path.is_file():
            return self._of_file(path)
        digest = hashlib.sha256()
        for file in sorted(path.rglob("*")):
            name = file.relative_to(path)
            if file.is_file() and not any(part.startswith(".") for part in name.parts):
                digest.update(f"{name.as_posix()}\0{self._of_file(file)}\0".encode())
        return digest.hexdigest()

    def _of_file(self, path: Path) -> str:
        about = path.stat()
        key = (path, about.st_size, about.st_mtime_ns)
        if key not in self._known:
            self._known[key] = fingerprint(path)
        return self._known[key]
