"""Reads one definition file: JSON without surprises, split into its two halves."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from models.definition import ID_PATTERN, SETTING_NAMES, BadDefinition

MAX_BYTES: Final = 1_000_000
_SIZE: Final = re.compile(r"(\d{2,5})x(\d{2,5})", re.ASCII)


@dataclass(frozen=True)
class DefinitionText:
    """A file as it was written: its `model` section and the settings beside it, under our names."""

    id: str
    path: Path
    model: dict[str, Any]
    settings: dict[str, Any]


def read_definition(path: Path) -> DefinitionText:
    """Read `path`. Types and ranges of the values are not looked at yet.

    Raises:
        BadDefinition: it cannot be read, is not JSON, repeats a key, has no `model` section, or its name
            is no id.
    """
    if not re.fullmatch(ID_PATTERN, path.stem):
        raise BadDefinition(
            f"{path}: the file's name is the model's id; use letters, digits, '.', '_' and '-'."
        )
    whole = _read_json(path)
    model = whole.pop("model", None)
    if not isinstance(model, dict):
        raise BadDefinition(
            f'{path}: there is no "model" section; a file looks like {{"model": {{...}}, ...}}.'
        )
    if "settings" in model:
        raise BadDefinition(f'{path}: settings stand beside the "model" section, not in it.')
    return DefinitionText(path.stem, path, model, _our_names(path, whole))


def _read_json(path: Path) -> dict[str, Any]:
    try:
        if not path.is_file():
            raise BadDefinition(f"{path} is not a file.")
        with path.open("rb") as file:
            data = file.read(MAX_BYTES + 1)
    except OSError as error:
        raise BadDefinition(f"{path} cannot be read ({error.strerror}).") from error
    if len(data) > MAX_BYTES:
        raise BadDefinition(f"{path} is larger than {MAX_BYTES} bytes.")
    try:
        whole = json.loads(data, object_pairs_hook=_unique, parse_constant=_no_constant)
    except (ValueError, RecursionError) as error:
        raise BadDefinition(f"{path} is not JSON: {error}.") from error
    if not isinstance(whole, dict):
        raise BadDefinition(f"{path} holds {type(whole).__name__}, not an object.")
    return whole


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        keys = [key for key, _ in pairs]
        raise ValueError(f"the key {next(k for k in keys if keys.count(k) > 1)!r} stands there twice")
    return found


def _no_constant(text: str) -> float:
    raise ValueError(f"{text} is not a number")


def _our_names(path: Path, settings: dict[str, Any]) -> dict[str, Any]:
    renamed: dict[str, Any] = {}
    for name, value in settings.items():
        for ours, ours_value in _canonical(path, name, value).items():
            if ours in renamed and renamed[ours] != ours_value:
                raise BadDefinition(f"{path}: {name} and another name of {ours} disagree; keep one of them.")
            renamed[ours] = ours_value
    return renamed


def _canonical(path: Path, name: str, value: Any) -> dict[str, Any]:
    if name != "resolution":
        return {SETTING_NAMES.get(name, name): value}
    match = _SIZE.fullmatch(value) if isinstance(value, str) else None
    if match is None:
        raise BadDefinition(f'{path}: resolution is {value!r}; write "WIDTHxHEIGHT", such as "832x480".')
    return {"width": int(match[1]), "height": int(match[2])}
