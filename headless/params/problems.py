"""What is wrong with parameters, collected, so that a user sees more than the first mistake."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NoReturn

from headless.errors import BadParams, Unsafe

SHOWN = 5


@dataclass(frozen=True)
class Problem:
    """One sentence that names the field, its value and what is legal."""

    sentence: str
    unsafe: bool = False
    """Whether the value reaches for what a task may not touch."""


class ProblemError(ValueError):
    """A problem on its way to the others."""

    def __init__(self, sentence: str) -> None:
        super().__init__(sentence)
        self.problem = Problem(sentence)


def refuse(problems: Sequence[Problem]) -> NoReturn:
    """Raise the first few of `problems` in one message: `Unsafe` if any of them is, else `BadParams`."""
    ordered = sorted(problems, key=lambda problem: not problem.unsafe)
    message = " ".join(problem.sentence for problem in ordered[:SHOWN])
    if len(ordered) > SHOWN:
        message += f" And {len(ordered) - SHOWN} more."
    raise Unsafe(message) if ordered[0].unsafe else BadParams(message)
