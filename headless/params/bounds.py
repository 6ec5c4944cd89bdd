"""Size and depth of parameters, looked at without recursion before anything else reads them."""

from __future__ import annotations

from headless.params.problems import ProblemError
from headless.task import Json

MAX_SIZE = 1_000_000
MAX_DEPTH = 32


def check_bounds(params: Json) -> None:
    """Refuse what is larger than about a megabyte of JSON, deeper than 32 levels, or not storable as text.

    Raises:
        ProblemError: one sentence.
    """
    size = 0
    waiting: list[tuple[Json, int]] = [(params, 1)]
    while waiting:
        value, depth = waiting.pop()
        if depth > MAX_DEPTH:
            raise ProblemError(f"params are nested more than {MAX_DEPTH} levels deep: send a flat object.")
        children, own = _parts(value)
        size += own
        if size > MAX_SIZE:
            raise ProblemError(
                f"params are larger than {MAX_SIZE} characters: store files as inputs and refer to them."
            )
        waiting.extend((child, depth + 1) for child in children)


def _parts(value: Json) -> tuple[list[Json], int]:
    """The values inside, and how many characters this value needs at least without them."""
    if isinstance(value, str):
        _check_text(value)
        return [], len(value)
    if isinstance(value, list):
        return (value, len(value)) if len(value) <= MAX_SIZE else ([], len(value))
    if isinstance(value, dict):
        if len(value) > MAX_SIZE:
            return [], len(value)
        for key in value:
            _check_text(key)
        return list(value.values()), len(value) + sum(map(len, value))
    return [], 1


def _check_text(text: str) -> None:
    if not isinstance(text, str):
        raise ProblemError("params have a name that is not text: send a JSON object.")
    if "\0" in text:
        raise ProblemError("params hold a text with a NUL character (\\u0000): remove it.")
    if not text.isascii() and any("\ud800" <= letter <= "\udfff" for letter in text):
        raise ProblemError("params hold a text with half of a surrogate pair: send valid Unicode.")
