"""From the JSON of a task to its parameters, or to one message that says what is wrong with it."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from types import MappingProxyType
from typing import Any, Final

from pydantic import ValidationError
from pydantic_core import ErrorDetails

from headless.errors import BadParams
from headless.params.aliases import Canonical, canonical
from headless.params.bounds import check_bounds
from headless.params.generate import GenerateParams
from headless.params.legal import legal_values
from headless.params.problems import Problem, ProblemError, refuse
from headless.params.references import PREDICATE, UNSAFE
from headless.params.show import show
from headless.task import Json

Adapter = Callable[[Mapping[str, Json]], GenerateParams]


def parse(task_type: str, params: Json) -> GenerateParams:
    """The validated parameters of a task of type `task_type`.

    Raises:
        BadParams: the message names the first few wrong fields, their values and what is legal.
        Unsafe: a field reaches for what a task may not touch.
    """
    adapter = ADAPTERS.get(task_type)
    if adapter is None:
        known = ", ".join(f'"{name}"' for name in sorted(ADAPTERS))
        raise BadParams(f"task_type is {show(task_type)}: give {known}.")
    return adapter(_bounded_object(params))


def _bounded_object(params: Json) -> dict[str, Json]:
    if isinstance(params, str):
        raise BadParams("params is text: send the JSON object itself, not a text that contains it.")
    if not isinstance(params, dict):
        raise BadParams(f"params is {show(params)}: send a JSON object of parameters.")
    try:
        check_bounds(params)
    except ProblemError as error:
        raise BadParams(str(error)) from error
    return params


def _generate(params: Mapping[str, Json]) -> GenerateParams:
    fields = canonical(params, GenerateParams.model_fields)
    problems = list(fields.problems)
    try:
        parsed = GenerateParams.model_validate(fields.values)
    except ValidationError as error:
        problems += _explained(error, fields)
    if problems:
        refuse(problems)
    return parsed


def _explained(error: ValidationError, fields: Canonical) -> list[Problem]:
    """One problem per wrong value."""
    schema = GenerateParams.model_json_schema()
    problems: dict[str, Problem] = {}
    for details in error.errors(include_url=False):
        # With a problem known already, a field may seem to be missing only because it could not be read.
        if details["type"] != "missing" or len(details["loc"]) > 1 or not fields.problems:
            problem = _problem(details, _location(details), schema, fields.sources)
            problems.setdefault(_path(_location(details)), problem)
    return list(problems.values())


def _location(details: ErrorDetails) -> tuple[str | int, ...]:
    """Where the value is, without the parts that only name a branch of a union or a validator."""
    parts = details["loc"]
    named = len(parts) if details["type"] == "extra_forbidden" else 0
    return tuple(part for index, part in enumerate(parts) if index == named - 1 or _names(part))


def _names(part: str | int) -> bool:
    return isinstance(part, int) or (part.isidentifier() and part not in ("str", "float"))


def _problem(
    details: ErrorDetails,
    location: tuple[str | int, ...],
    schema: Mapping[str, Any],
    sources: Mapping[str, str],
) -> Problem:
    kind, legal, name = details["type"], legal_values(schema, location), _named(location, sources)
    if kind in (UNSAFE, PREDICATE):
        sentence = f"{name} {details['msg']}".lstrip()
    elif kind == "missing":
        sentence = f"{name} is missing: give {legal}."
    elif kind == "extra_forbidden":
        sentence = f"{show(location[-1])} is not a field of {_path(location[:-1])}."
    else:
        sentence = f"{name} is {_given(details)}: give {legal or details['msg']}."
    return Problem(sentence, unsafe=kind == UNSAFE)


def _named(location: Sequence[str | int], sources: Mapping[str, str]) -> str:
    """The field's path, and the name under which it was sent if that is another."""
    path = _path(location)
    sent = sources.get(str(location[0])) if location else None
    return path if sent is None or sent == location[0] else f"{path} (sent as {sent})"


def _given(details: ErrorDetails) -> str:
    value = details["input"]
    if details["type"] == "string_too_long" and isinstance(value, str):
        return f"a text of {len(value)} characters"
    return show(value)


def _path(location: Sequence[str | int]) -> str:
    return "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in location).lstrip(".")


ADAPTERS: Final[Mapping[str, Adapter]] = MappingProxyType({"generate": _generate})
"""Task type -> what reads its parameters. A dialect of another frontend is one more entry."""
