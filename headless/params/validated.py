"""Canonical fields as parameters, or one message that names each wrong field as it was sent."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from pydantic import ValidationError
from pydantic_core import ErrorDetails

from headless.params.generate import GenerateParams
from headless.params.legal import legal_values
from headless.params.problems import Problem, refuse
from headless.params.references import PREDICATE, UNSAFE
from headless.params.show import show
from headless.task import Json

Location = Sequence[str | int]
Namer = Callable[[Location], str]
"""Where a value is among the canonical fields -> the name under which a message speaks of it."""


def validated(fields: Mapping[str, Json], named: Namer, problems: Sequence[Problem]) -> GenerateParams:
    """The parameters. `problems`: what was found wrong before.

    Raises:
        BadParams: the message names the first few wrong fields, their values and what is legal.
        Unsafe: a field reaches for what a task may not touch.
    """
    found = list(problems)
    try:
        parsed = GenerateParams.model_validate(dict(fields))
    except ValidationError as error:
        found += _explained(error, named, bool(problems))
    if found:
        refuse(found)
    return parsed


def path_of(location: Location) -> str:
    """`("loras", 0, "name")` as `loras[0].name`."""
    return "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in location).lstrip(".")


def _explained(error: ValidationError, named: Namer, known: bool) -> list[Problem]:
    """One problem per wrong value. `known`: others were found before."""
    schema = GenerateParams.model_json_schema()
    problems: dict[str, Problem] = {}
    for details in error.errors(include_url=False):
        # With a problem known already, a field may seem to be missing only because it could not be read.
        if details["type"] != "missing" or len(details["loc"]) > 1 or not known:
            location = _location(details)
            problems.setdefault(path_of(location), _problem(details, location, schema, named))
    return list(problems.values())


def _location(details: ErrorDetails) -> tuple[str | int, ...]:
    """Where the value is, without the parts that only name a branch of a union or a validator."""
    parts = details["loc"]
    extra = len(parts) if details["type"] == "extra_forbidden" else 0
    return tuple(part for index, part in enumerate(parts) if index == extra - 1 or _names(part))


def _names(part: str | int) -> bool:
    return isinstance(part, int) or (part.isidentifier() and part not in ("str", "float"))


def _problem(
    details: ErrorDetails, location: tuple[str | int, ...], schema: Mapping[str, Any], named: Namer
) -> Problem:
    kind, legal, name = details["type"], legal_values(schema, location), named(location)
    if kind in (UNSAFE, PREDICATE):
        sentence = f"{name} {details['msg']}".lstrip()
    elif kind == "missing":
        sentence = f"{name} is missing: give {legal}."
    elif kind == "extra_forbidden":
        sentence = f"{show(location[-1])} is not a field of {named(location[:-1])}."
    else:
        sentence = f"{name} is {_given(details)}: give {legal or details['msg']}."
    return Problem(sentence, unsafe=kind == UNSAFE)


def _given(details: ErrorDetails) -> str:
    value = details["input"]
    if details["type"] == "string_too_long" and isinstance(value, str):
        return f"a text of {len(value)} characters"
    return show(value)
