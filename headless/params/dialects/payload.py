"""Reads another frontend's fields, which repeat themselves at several levels, and remembers what was read."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from headless.params.problems import Problem
from headless.params.show import show
from headless.task import Json


@dataclass(frozen=True)
class Sent:
    """A value, and the full name under which it was sent."""

    name: str
    value: Json


@dataclass(frozen=True)
class Level:
    """One object of a payload. `prefix`: what stands before the names of its fields."""

    prefix: str
    fields: Mapping[str, Json]


class Payload:
    """The levels of one task, the one that wins first.

    A field that is null, or an empty text, list or object, is not given. A field that was asked for counts as
    read at every level, also where a higher level won: the frontend repeats its fields downwards.
    """

    def __init__(self, top: Mapping[str, Json]) -> None:
        self.problems: list[Problem] = []
        self._top = Level("", top)
        self._levels: list[Level] = [self._top]
        self._read: set[tuple[str, str]] = set()
        self._ignored: set[str] = set()

    @property
    def levels(self) -> tuple[Level, ...]:
        """All of them."""
        return tuple(self._levels)

    def nested(self, *names: str, above: bool = False) -> Level | None:
        """The object that a field of the top level holds becomes a level: below the others, or above them."""
        for name in names:
            self._read.add(("", name))
            value = self._top.fields.get(name)
            if isinstance(value, dict):
                level = Level(f"{name}.", value)
                self._levels.insert(0 if above else len(self._levels), level)
                return level
            if value is not None:
                self.wrong(Sent(name, value), "an object")
        return None

    def first(self, *names: str, levels: tuple[Level, ...] | None = None) -> Sent | None:
        """The first of `names` that the highest level gives, else that the next one gives, and so on."""
        found: Sent | None = None
        for level in self._levels if levels is None else levels:
            for name in names:
                self._read.add((level.prefix, name))
                value = level.fields.get(name)
                if found is None and is_given(value):
                    found = Sent(level.prefix + name, value)
        return found

    def entry(self, name: str, index: int, level: Level | None) -> Sent | None:
        """Entry `index` of a list with one entry per segment. A list of one entry holds for all of them."""
        if level is None:
            return None
        value = self.listed(name, level)
        if not value:
            return None
        place = 0 if len(value) == 1 else index
        if place >= len(value) or not is_given(value[place]):
            return None
        return Sent(f"{level.prefix}{name}[{place}]", value[place])

    def listed(self, name: str, level: Level) -> list[Json]:
        """A list; empty where there is none, which is a problem where something else is in its place."""
        sent = self.first(name, levels=(level,))
        if sent is None:
            return []
        if not isinstance(sent.value, list):
            self.wrong(sent, "a list")
            return []
        return sent.value

    def skip(self, *names: str) -> None:
        """Fields that say what others of the payload say, too, or nothing about the video."""
        self._read |= {(level.prefix, name) for level in self._levels for name in names}

    def ignore(self, name: str, value: Json) -> None:
        """A field inside of one that was read."""
        if is_given(value):
            self._ignored.add(name)

    def wrong(self, sent: Sent, legal: str) -> None:
        """Write down that a value is not what it should be."""
        problem = Problem(f"{sent.name} is {show(sent.value)}: give {legal}.")
        if problem not in self.problems:
            self.problems.append(problem)

    @property
    def ignored_fields(self) -> tuple[str, ...]:
        """Fields that hold something and that nobody asked for, sorted."""
        return tuple(
            sorted(
                self._ignored.union(
                    level.prefix + name
                    for level in self._levels
                    for name, value in level.fields.items()
                    if (level.prefix, name) not in self._read and is_given(value)
                )
            )
        )


def is_given(value: Json) -> bool:
    """Whether a field holds anything."""
    if isinstance(value, str):
        return value.strip() != ""
    return value is not None and value not in ([], {})


def whole(value: Json) -> int | None:
    """A whole number, or nothing: true is none."""
    return value if isinstance(value, int) and not isinstance(value, bool) else None
