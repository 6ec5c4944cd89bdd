"""What of a result or a report a queue's row has room for: the most dispensable parts go first."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from typing import Final

from headless.task import Json

MOST_BYTES: Final = 1_000_000
"""Of the JSON of one result, report, or set of parameters, in UTF-8."""
LONGEST_TEXT: Final = 200
"""Characters that are left of a text in `parameters` that is cut."""
CUT_HERE: Final = "…"
_USUAL_FILES: Final = ("video", "poster", "contact_sheet", "latents")

_Told = dict[str, Json]


def within_row(
    told: Mapping[str, Json], whole: str | None = None, *, most_bytes: int = MOST_BYTES
) -> dict[str, Json]:
    """The same where it has at most `most_bytes`, else less: `cut` then lists what is missing or shortened.

    `whole`: the key of the object in storage that has everything, which is then told as `whole`. A result or
    report of this program always fits; of anything else, what is not known here stays.
    """
    left, cut = dict(told), list[Json]()
    for name, less in _STEPS:
        if _size(left) <= most_bytes:
            break
        smaller = less(left)
        if smaller != left:
            cut.append(name)
            left = smaller | {"cut": list(cut)} | ({} if whole is None else {"whole": whole})
    return left


def _size(told: _Told) -> int:
    text = json.dumps(told, ensure_ascii=False, separators=(",", ":"))
    return len(text.encode("utf-8", "surrogatepass"))


def _without(*names: str) -> Callable[[_Told], _Told]:
    return lambda told: {name: value for name, value in told.items() if name not in names}


def _segments_without(*names: str) -> Callable[[_Told], _Told]:
    """Less of every segment, and of its alternatives."""
    return lambda told: told | {"segments": _fewer(told["segments"], names)} if "segments" in told else told


def _fewer(value: Json, names: tuple[str, ...]) -> Json:
    if isinstance(value, list):
        return [_fewer(item, names) for item in value]
    if not isinstance(value, dict):
        return value
    left = {name: item for name, item in value.items() if name not in names}
    return left | ({"alternatives": _fewer(left["alternatives"], names)} if "alternatives" in left else {})


def _short_parameters(told: _Told) -> _Told:
    return told | {"parameters": _short(told["parameters"])} if "parameters" in told else told


def _short(value: Json) -> Json:
    if isinstance(value, str):
        return value if len(value) <= LONGEST_TEXT else value[:LONGEST_TEXT] + CUT_HERE
    if isinstance(value, list):
        return [_short(item) for item in value]
    if isinstance(value, dict):
        return {name: _short(item) for name, item in value.items()}
    return value


def _parameters_of_the_whole(told: _Told) -> _Told:
    parameters = told.get("parameters")
    if not isinstance(parameters, dict):
        return told
    return told | {"parameters": _without("segments")(parameters)}


def _usual_files(told: _Told) -> _Told:
    files = told.get("files")
    if not isinstance(files, dict):
        return told
    return told | {"files": {name: file for name, file in files.items() if name in _USUAL_FILES}}


_STEPS: Final[tuple[tuple[str, Callable[[_Told], _Told]], ...]] = (
    ("segments[].engine", _segments_without("engine")),
    ("segments[].checks", _segments_without("checks")),
    ("segments[].scores", _segments_without("scores")),
    (f"parameters: texts of more than {LONGEST_TEXT} characters", _short_parameters),
    ("parameters.segments", _parameters_of_the_whole),
    ("segments[].adjustments", _segments_without("adjustments")),
    ("adjustments", _without("adjustments")),
    ("segments", _without("segments")),
    ("warnings", _without("warnings")),
    ("files of alternatives", _usual_files),
    ("checks", _without("checks")),
    ("scores", _without("scores")),
    ("engine", _without("engine")),
    ("memory", _without("memory")),
    ("parameters", _without("parameters")),
    ("inputs", _without("inputs")),
    ("loras", _without("loras")),
    ("ignored_fields", _without("ignored_fields")),
)
