"""`models_def`: every model definition of the shipped and the user's folders, by id.

A file that is wrong does not take the others down: asking for its id says what is wrong with it.
"""

from __future__ import annotations

import difflib
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any

from models.definition import BadDefinition, Definition, UnknownModel
from models.definition_check import checked
from models.definition_file import DefinitionText, read_definition
from models.inheritance import resolve_references, take_shared_parts


class Registry:
    """The definitions of this machine. Needs no torch.

    `models_def[id]` is the `model` section, a plain dict that may be patched around a task; the settings that
    stand beside it in the file lie in it under `settings`, with our names.
    """

    def __init__(
        self, models_def: dict[str, dict[str, Any]], broken: Mapping[str, str], warnings: tuple[str, ...]
    ) -> None:
        self._models_def = models_def
        self._broken = dict(broken)
        self._warnings = warnings

    @property
    def models_def(self) -> dict[str, dict[str, Any]]:
        """Model id -> its `model` section; the object that is patched around a job."""
        return self._models_def

    @property
    def broken(self) -> Mapping[str, str]:
        """Id -> what is wrong with its file. These ids are in neither `models_def` nor `names()`."""
        return MappingProxyType(self._broken)

    @property
    def warnings(self) -> tuple[str, ...]:
        """One sentence per file that has keys which nothing here reads."""
        return self._warnings

    def names(self) -> tuple[str, ...]:
        """Every usable id, sorted."""
        return tuple(sorted(self._models_def))

    def definition(self, model: str) -> Definition:
        """A read-only view of one model.

        Raises:
            UnknownModel: there is no such id; the message names the nearest ones.
            BadDefinition: there is a file for it, and it is wrong.
        """
        if model in self._broken:
            raise BadDefinition(self._broken[model])
        section = self._models_def.get(model)
        if section is None:
            raise UnknownModel(self._unknown(model))
        return Definition(
            id=model,
            name=section["name"],
            architecture=section["architecture"],
            model_def=MappingProxyType(section),
            settings=MappingProxyType(section["settings"]),
        )

    def _unknown(self, model: str) -> str:
        near = difflib.get_close_matches(model, self.names(), n=3)
        known = f"Did you mean {' or '.join(near)}?" if near else f"Known models: {', '.join(self.names())}."
        return f"model {model[:80]!r} is not known here. {known}"


def load_models_def(*folders: Path) -> Registry:
    """Read every `*.json` of the folders. A later folder's file replaces an earlier one of the same name.

    Raises:
        BadDefinition: a folder does not exist. Wrong files are kept in `Registry.broken`.
    """
    read: dict[str, DefinitionText] = {}
    broken: dict[str, str] = {}
    for folder in folders:
        if not folder.is_dir():
            raise BadDefinition(f"{folder} is not a folder of model definitions.")
        for path in sorted(path for path in folder.glob("*.json") if not path.name.startswith(".")):
            read.pop(path.stem, None)
            broken.pop(path.stem, None)
            try:
                read[path.stem] = read_definition(path)
            except BadDefinition as error:
                broken[path.stem] = str(error)
    broken.update(resolve_references(read, broken))
    take_shared_parts(read)
    models_def, warnings = {}, []
    for id_, text in sorted(read.items()):
        if id_ in broken:
            continue
        try:
            models_def[id_], unread = checked(text)
        except BadDefinition as error:
            broken[id_] = str(error)
            continue
        if unread:
            warnings.append(f"{text.path.name}: kept, but nothing reads {', '.join(unread)}.")
    return Registry(models_def, broken, tuple(warnings))
