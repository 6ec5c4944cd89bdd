"""What is read of a task: its parameters, and what of its fields they do not say."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Final

from headless.errors import RetryableError, TaskError
from headless.params.generate import GenerateParams
from headless.task import Json
from wan2gp_patch.adjustment import Adjustment

MOST: Final = 200
LONGEST: Final = 200
MOST_SOURCES: Final = 3


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
    sources: Mapping[str, str] = field(default_factory=dict)
    """Our field (`segments[1].num_frames`) -> the one that was sent, of a task of another frontend."""

    def as_json(self) -> dict[str, Json]:
        """What the result and the report of an attempt say of it, beside its adjustments: the first names,
        cut where they are long. A task may have more fields than a result has room for."""
        names = [
            name if len(name) <= LONGEST else f"{name[:LONGEST]}..." for name in self.ignored_fields[:MOST]
        ]
        left = len(self.ignored_fields) - len(names)
        told: list[Json] = [*names, *([f"and {left} more"] if left else ())]
        return {"ignored_fields": told} if told else {}

    @contextmanager
    def told_as_sent(self) -> Iterator[None]:
        """Errors of the planner and of inputs name our fields: here they add which ones were sent."""
        try:
            yield
        except (TaskError, RetryableError) as error:
            told = [
                f"{ours} was sent as {sent}"
                for ours, sent in self.sources.items()
                if ours != sent and sent not in error.message and _names(error.message, ours)
            ]
            if not told:
                raise
            raise type(error)(f"{error.message} ({', '.join(told[:MOST_SOURCES])})") from error


def _names(message: str, path: str) -> bool:
    """Whether a message speaks of a field: `segments[1]: num_frames is ...` of `segments[1].num_frames`."""
    segment, _, name = path.rpartition(".")
    if segment and segment not in message:
        return False
    if not segment and "segments[" in message:
        return False  # It speaks of the field of a segment.
    return re.search(rf"(?<!\w){re.escape(name)}(?!\w)", message) is not None
