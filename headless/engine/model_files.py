"""From a model definition to the files on this machine."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final
from urllib.parse import unquote, urlsplit

from headless.errors import ModelMissing

URL_KEYS: Final = {"transformer": "URLs", "transformer_2": "URLs2"}
"""Roles that a definition may also give as a list of downloads, of which any one is enough."""


class ModelFiles:
    """Looks for a definition's files in `folders`, in this order."""

    def __init__(self, model: str, model_def: Mapping[str, Any], folders: Sequence[Path]) -> None:
        self._model = model
        self._model_def = model_def
        self._folders = folders

    def find(self, role: str) -> Path:
        """The file or folder of a role. `ModelMissing` names the places looked at and what to do."""
        names = self._names(role)
        for name in names:
            for folder in self._folders:
                if (folder / name).exists():
                    return folder / name
        raise ModelMissing(self._missing(role, names))

    def has(self, role: str) -> bool:
        """Whether the definition names anything for the role."""
        return bool(self._names(role))

    def _names(self, role: str) -> list[str]:
        named = self._model_def.get("files", {}).get(role)
        urls = self._model_def.get(URL_KEYS.get(role, ""), [])
        downloads = [unquote(urlsplit(str(url)).path.rsplit("/", 1)[-1]) for url in urls]
        return ([str(named)] if named else []) + downloads

    def _missing(self, role: str, names: list[str]) -> str:
        if not names:
            return (
                f"The definition of {self._model} names no {role}. Add it under files in its configs/ file."
            )
        looked = [str(folder / name) for folder in self._folders for name in names]
        source = self._model_def.get("repository")
        where = f" It is published as {source} on Hugging Face." if source else ""
        return (
            f"The {role} of {self._model} is not on this machine: no {', no '.join(looked)}.{where} "
            "Put it at one of these places, or name its place in the model's configs/ file."
        )
