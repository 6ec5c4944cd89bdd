"""Strengths of a LoRA: one number, or one entry per phase, each with one value or a list over its steps.

`"1;0"` is 1.0 in the first phase and 0 in the second; `"1;0.5,0.2"` goes from 0.5 to 0.2 within the second.
One entry stands for all phases.
"""

from __future__ import annotations

import re
from typing import Final, TypeAlias

Strengths: TypeAlias = tuple[tuple[float, ...], ...]
"""Outer: one entry per phase, or a single one for all. Inner: one value, or several spread over the steps."""

MAX_STRENGTH: Final = 10.0
MAX_PHASES: Final = 3
MAX_VALUES: Final = 100
LEGAL: Final = f'a number from -{MAX_STRENGTH:g} to {MAX_STRENGTH:g}, or text such as "1;0" or "1;0.5,0.2"'
_NUMBER: Final = re.compile(r"[+-]?(\d{1,8}(\.\d{0,20})?|\.\d{1,20})(e[+-]?\d{1,3})?", re.ASCII)


def parse_strengths(value: object) -> Strengths:
    """The strengths that `value` (a number or a text) stands for.

    Raises:
        ValueError: it is something else, empty, not finite, or out of range; the message says which.
    """
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        raise ValueError(f"give {LEGAL}")
    if not isinstance(value, str):
        return ((_in_range(float(value) if abs(value) <= MAX_STRENGTH else MAX_STRENGTH + 1),),)
    return tuple(_phase(text) for text in _split(value, ";", MAX_PHASES, "phases"))


def spread(values: tuple[float, ...], steps: int) -> tuple[float, ...]:
    """`values` laid over `steps` steps in order, each for as equal a share as whole steps allow."""
    return tuple(values[step * len(values) // steps] for step in range(steps))


def _phase(text: str) -> tuple[float, ...]:
    return tuple(_number(item) for item in _split(text, ",", MAX_VALUES, "values in a phase"))


def _split(text: str, separator: str, limit: int, what: str) -> list[str]:
    if text.count(separator) >= limit:
        raise ValueError(f"more than {limit} {what}")
    return text.split(separator)


def _number(text: str) -> float:
    stripped = text.strip()
    if not _NUMBER.fullmatch(stripped):
        raise ValueError(f"{stripped[:20]!r} is not a number; give {LEGAL}")
    return _in_range(float(stripped))


def _in_range(value: float) -> float:
    if not -MAX_STRENGTH <= value <= MAX_STRENGTH:
        raise ValueError(f"a strength lies between -{MAX_STRENGTH:g} and {MAX_STRENGTH:g}")
    return value
