"""Other names under which existing frontends send parameters, and how they become ours.

Two names of one field may both be there if they agree. `null` and an empty alias mean "not given".
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from types import MappingProxyType
from typing import Final

from headless.params.loras import as_list
from headless.params.phase_config import expand
from headless.params.problems import SHOWN, Problem, ProblemError
from headless.params.show import show
from headless.task import Json
from models.lora_strengths import parse_strengths

Fields = dict[str, Json]
Expansion = Callable[[Json], Fields]
_SIZE: Final = re.compile(r"(\d{1,6})\s*[xX×*]\s*(\d{1,6})", re.ASCII)


def _size(name: str, value: Json) -> Fields:
    if isinstance(value, str) and (match := _SIZE.fullmatch(value.strip())):
        return {"width": int(match[1]), "height": int(match[2])}
    if isinstance(value, list) and len(value) == 2:
        return {"width": value[0], "height": value[1]}
    forms = '"WIDTHxHEIGHT", such as "832x480"' + (
        ", or [832, 480]" if name == "parsed_resolution_wh" else ""
    )
    raise ProblemError(f"{name} is {show(value)}: give {forms}.")


def _one_image(value: Json) -> Fields:
    if not isinstance(value, list):
        return {"anchor_image": value}
    if len(value) > 1:
        raise ProblemError(f"image_refs is {show(value)}: give one image, as a reference or a list of one.")
    return {"anchor_image": value[0]} if value else {}


def _additional_loras(value: Json) -> Fields:
    if not isinstance(value, dict):
        raise ProblemError(f"additional_loras is {show(value)}: give an object {{url: strength, ...}}.")
    return {"loras": as_list(value)} if value else {}


def _renamed(field: str, value: Json) -> Fields:
    return {field: value}


_NAMES: Final = {
    "model": ("model_name", "model_type"),
    "start_image": ("image", "image_url", "image_start"),
    "end_image": ("image_end", "last_image", "end_image_url"),
    "num_frames": ("video_length",),
    "steps": ("num_inference_steps",),
    "prompt": ("base_prompt",),
    "seed": ("seed_to_use",),
}
_EXPANSIONS: Final[Mapping[str, tuple[Expansion, tuple[str, ...]]]] = MappingProxyType(
    {
        "image_refs": (_one_image, ("anchor_image",)),
        "resolution": (partial(_size, "resolution"), ("width", "height")),
        "parsed_resolution_wh": (partial(_size, "parsed_resolution_wh"), ("width", "height")),
        "additional_loras": (_additional_loras, ("loras",)),
        "loras": (lambda value: {"loras": as_list(value)}, ("loras",)),
        "phase_config": (
            expand,
            ("phase_config", "steps", "flow_shift", "guidance_scale", "guidance_scale_2", "loras"),
        ),
    }
)
ALIASES: Final[Mapping[str, tuple[str, ...]]] = MappingProxyType(
    {alias: (field,) for field, aliases in _NAMES.items() for alias in aliases}
    | {alias: fields for alias, (_, fields) in _EXPANSIONS.items() if alias not in ("loras", "phase_config")}
)
"""Alias -> the fields that it sets."""


@dataclass(frozen=True)
class Canonical:
    """Parameters under canonical names, the name under which each was sent, and what could not be read."""

    values: Fields
    sources: Mapping[str, str]
    problems: tuple[Problem, ...]


def canonical(params: Mapping[str, Json], known: Iterable[str]) -> Canonical:
    """The parameters under canonical names. `known`: the canonical names."""
    names = set(known)
    found: dict[str, tuple[str, Json]] = {}
    problems: list[Problem] = []
    listed = False
    for name, value in params.items():
        if name not in names and name not in ALIASES:
            # A guess costs a millisecond, and only the first few are shown; the legal names once.
            near = _nearest(name, names) if len(problems) < SHOWN else None
            problems.append(Problem(_unknown(name, near, () if near or listed else sorted(names))))
            listed = listed or near is None
        elif value is not None:
            try:
                for field, expanded in _expand(name, value).items():
                    _settle(found, field, name, expanded)
            except ProblemError as error:
                problems.append(error.problem)
    return Canonical(
        values={field: value for field, (_, value) in found.items()},
        sources={field: name for field, (name, _) in found.items()},
        problems=tuple(problems),
    )


def _expand(name: str, value: Json) -> Fields:
    if name in _EXPANSIONS:
        return _EXPANSIONS[name][0](value)
    (field,) = ALIASES.get(name, (name,))
    return _renamed(field, value)


def _settle(found: dict[str, tuple[str, Json]], field: str, name: str, value: Json) -> None:
    if field not in found:
        found[field] = (name, value)
        return
    other, before = found[field]
    if not _agree(field, before, value):
        raise ProblemError(
            f"{_claim(other, field, before)} and {_claim(name, field, value)}: "
            f"these are two names of one field; send one of them, or the same value."
        )


def _claim(name: str, field: str, value: Json) -> str:
    return (
        f"{name} is {show(value)}"
        if name == field or ALIASES.get(name) == (field,)
        else f"{name} makes {field} {show(value)}"
    )


def _agree(field: str, a: Json, b: Json) -> bool:
    if field == "loras":
        return _comparable(a) == _comparable(b)
    return a == b and isinstance(a, bool) == isinstance(b, bool)


def _comparable(loras: Json) -> object:
    """LoRA lists that mean the same compare equal: `1` and `"1"`, in any order."""
    if not isinstance(loras, list) or not all(isinstance(lora, dict) for lora in loras):
        return loras
    entries = [lora for lora in loras if isinstance(lora, dict)]
    try:
        return sorted((str(lora.get("name")), parse_strengths(lora.get("strength", 1.0))) for lora in entries)
    except ValueError:
        return loras


def _nearest(name: str, names: set[str]) -> str | None:
    """The known name that is most like it, if one is."""
    return next(
        iter(difflib.get_close_matches(name[:80], sorted(names | set(ALIASES)), n=1, cutoff=0.5)), None
    )


def _unknown(name: str, near: str | None, listed: Sequence[str]) -> str:
    shown = show(name).strip('"')
    if near is not None:
        return f"{shown} is not a field: did you mean {near}?"
    return f"{shown} is not a field" + (f": known fields are {', '.join(listed)}." if listed else ".")
