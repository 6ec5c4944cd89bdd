"""From the JSON of a task to its parameters, or to one message that says what is wrong with it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Final

from headless.errors import BadParams
from headless.params.aliases import canonical
from headless.params.bounds import check_bounds
from headless.params.dialects import DIALECTS, Translate
from headless.params.generate import GenerateParams
from headless.params.parsed import Parsed
from headless.params.problems import ProblemError
from headless.params.show import show
from headless.params.validated import Location, path_of, validated
from headless.task import Continued, Json

Adapter = Callable[[Mapping[str, Json], Continued | None], Parsed]


def parse_task(task_type: str, params: Json, continued: Continued | None = None) -> Parsed:
    """What a task of type `task_type` asks for.

    `continued` is the task before this one, as the claim tells it: some frontends name it in `dependant_on`
    alone. Tasks of the type `generate` name it themselves.

    Raises:
        BadParams: the message names the first few wrong fields, their values and what is legal.
        Unsafe: a field reaches for what a task may not touch.
    """
    adapter = ADAPTERS.get(task_type)
    if adapter is None:
        known = ", ".join(f'"{name}"' for name in sorted(ADAPTERS))
        raise BadParams(f"task_type is {show(task_type)}: give {known}.")
    return adapter(_bounded_object(params), continued)


def parse(task_type: str, params: Json, continued: Continued | None = None) -> GenerateParams:
    """The parameters alone, for who needs no more than those. Raises as `parse_task`."""
    return parse_task(task_type, params, continued).params


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


def _generate(params: Mapping[str, Json], continued: Continued | None) -> Parsed:
    del continued  # This type names it in continue_from or extend_from, or does not continue it.
    fields = canonical(params, GenerateParams.model_fields)

    def named(location: Location) -> str:
        """The field's path, and the name under which it was sent if that is another."""
        path = path_of(location)
        sent = fields.sources.get(str(location[0])) if location else None
        return path if sent is None or sent == location[0] else f"{path} (sent as {sent})"

    return Parsed(validated(fields.values, named, fields.problems))


def _translated(translate: Translate) -> Adapter:
    """The adapter of another frontend's task type."""

    def adapter(params: Mapping[str, Json], continued: Continued | None) -> Parsed:
        told = translate(params, continued)
        parsed = validated(told.fields, told.named, told.problems)
        return Parsed(parsed, told.ignored_fields, told.adjustments, told.sources)

    return adapter


ADAPTERS: Final[Mapping[str, Adapter]] = MappingProxyType(
    {"generate": _generate} | {name: _translated(translate) for name, translate in DIALECTS.items()}
)
"""Task type -> what reads its parameters."""
