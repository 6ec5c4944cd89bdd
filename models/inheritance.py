"""A text where a list belongs names another model: its list of the same key is used."""

from __future__ import annotations

import copy
import difflib
from collections.abc import Mapping
from typing import Any

from models.definition import REFERABLE_KEYS, BadDefinition
from models.definition_file import DefinitionText


def resolve_references(read: Mapping[str, DefinitionText], broken: Mapping[str, str]) -> dict[str, str]:
    """Replace every such text in `read` by a copy of the list it leads to, over any number of models.

    Returns what is wrong, by id: a name that is not known or is itself `broken`, or names that go in a
    circle.
    """
    wrong: dict[str, str] = {}
    resolved: dict[tuple[str, str], Any] = {}
    for id_, text in read.items():
        for key in REFERABLE_KEYS:
            if isinstance(text.model.get(key), str):
                try:
                    resolved[id_, key] = copy.deepcopy(_follow(read, broken, id_, key))
                except BadDefinition as error:
                    wrong[id_] = str(error)
    for (id_, key), value in resolved.items():
        read[id_].model[key] = value
    return wrong


def take_shared_parts(read: Mapping[str, DefinitionText]) -> None:
    """Give a model the parts that it does not name from the model whose id is its architecture.

    Only the transformers make a model; the VAE and the text encoder belong to the architecture.
    """
    for text in read.values():
        base = read.get(str(text.model.get("architecture")))
        own = text.model.get("files", {})
        shared = base.model.get("files", {}) if base is not None else {}
        if isinstance(own, dict) and isinstance(shared, dict):
            rest = {r: place for r, place in shared.items() if not r.startswith("transformer")}
            if added := {role: place for role, place in rest.items() if role not in own}:
                text.model["files"] = {**own, **added}


def _follow(read: Mapping[str, DefinitionText], broken: Mapping[str, str], id_: str, key: str) -> Any:
    path, trail = read[id_].path, [id_]
    value = read[id_].model[key]
    while isinstance(value, str):
        if value in trail:
            raise BadDefinition(f"{path}: {key} goes in a circle: {' -> '.join([*trail, value])}.")
        if value not in read:
            raise BadDefinition(f"{path}: {key} is {value[:80]!r}, {_not_there(value, read, broken)}")
        trail.append(value)
        if key not in read[value].model:
            raise BadDefinition(f"{path}: {key} refers to {value}, which has no {key} of its own.")
        value = read[value].model[key]
    return value


def _not_there(name: str, read: Mapping[str, DefinitionText], broken: Mapping[str, str]) -> str:
    if name in broken:
        return f"and that definition is wrong: {broken[name]}"
    near = difflib.get_close_matches(name, list(read), n=3)
    hint = f" (did you mean {' or '.join(near)}?)" if near else ""
    return f"which is no model's id{hint}; give a list, or the id of the model whose list to use."
