"""What is read of a task: its parameters, and what of its fields they do not say."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from headless.params.generate import GenerateParams
from headless.task import Json
from wan2gp_patch.adjustment import Adjustment

MOST: Final = 200
LONGEST: Final = 200


@dataclass(frozen=True)
class Parsed:
    """A task's parameters.

    `ignored_fields`: names, as they were sent, of fields that another frontend's task has and nothing here
    acts on. `adjustments`: values of such a task that act in another way than they were sent. Both are empty
    for tasks of the type `generate`, whose fields are all known and taken as they are.
    """

    params: GenerateParams
    ignored_fields: tuple[str, ...] = ()
    adjustments: tuple[Adjustment, ...] = ()

    def as_json(self) -> dict[str, Json]:
        """What the result and the report of an attempt say of it, beside its adjustments: the first names,
        cut where they are long. A task may have more fields than a result has room for."""
        names = [
            name if len(name) <= LONGEST else f"{name[:LONGEST]}..." for name in self.ignored_fields[:MOST]
        ]
        left = len(self.ignored_fields) - len(names)
        told: list[Json] = [*names, *([f"and {left} more"] if left else ())]
        return {"ignored_fields": told} if told else {}
