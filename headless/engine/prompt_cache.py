"""Embeddings of prompts by the content of the prompt: in main memory, and on disk where there is a folder."""

from __future__ import annotations

import hashlib
import os
import tempfile
from collections import OrderedDict
from collections.abc import Callable
from pathlib import Path
from typing import Final

import structlog
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor

KEPT_PROMPTS: Final = 32
KEPT_FILES: Final = 512
"""Of about 4 MB each."""
_NAME: Final = "embedding"
_DAMAGED: Final = (OSError, SafetensorError, KeyError)

log = structlog.get_logger(__name__)


class PromptCache:
    """Outlives the models: an encoder is not even brought to the device for a prompt that it has seen.

    `folder` holds a file per prompt, the least recently used ones are removed. A folder that cannot be used
    costs time, never a task.
    """

    def __init__(self, folder: Path | None = None) -> None:
        self._folder = folder
        self._kept: OrderedDict[str, Tensor] = OrderedDict()

    def get(self, encoder: str, text: str, encode: Callable[[], Tensor]) -> Tensor:
        """What `encode` gave for this text, in main memory. `encoder` tells encoders apart."""
        key = hashlib.sha256(f"{encoder}\0{text}".encode()).hexdigest()
        if key not in self._kept:
            self._kept[key] = self._from_disk(key, encode)
            if len(self._kept) > KEPT_PROMPTS:
                self._kept.popitem(last=False)
        self._kept.move_to_end(key)
        return self._kept[key]

    def _from_disk(self, key: str, encode: Callable[[], Tensor]) -> Tensor:
        if self._folder is None:
            return encode().cpu()
        file = self._folder / f"{key}.safetensors"
        if file.is_file():
            try:
                found: Tensor = load_file(file)[_NAME]
                os.utime(file)
                return found
            except _DAMAGED as error:
                log.warning(
                    "an embedding on disk cannot be used; it is made anew", file=str(file), why=str(error)
                )
        made = encode().cpu().contiguous()
        try:
            _store(file, made)
            _prune(self._folder)
        except (OSError, SafetensorError) as error:
            log.warning("an embedding cannot be kept on disk", file=str(file), why=str(error))
        return made


def _store(file: Path, embedding: Tensor) -> None:
    """Whole or not at all, whoever else writes the same file."""
    file.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.NamedTemporaryFile(dir=file.parent, suffix=".part", delete=False) as part:
        path = Path(part.name)
    try:
        save_file({_NAME: embedding}, path)
        path.replace(file)
    finally:
        path.unlink(missing_ok=True)


def _prune(folder: Path) -> None:
    files = sorted(folder.glob("*.safetensors"), key=lambda file: file.stat().st_mtime_ns, reverse=True)
    for file in files[KEPT_FILES:]:
        file.unlink(missing_ok=True)


def file_identity(path: Path) -> str:
    """Enough to know a file, or a folder's files, again without reading them."""
    files = sorted(path.iterdir()) if path.is_dir() else [path]
    return "|".join(f"{f.name}:{f.stat().st_size}:{f.stat().st_mtime_ns}" for f in files)
