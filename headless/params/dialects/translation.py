"""Another frontend's task in our fields, and what is to be said about the translation."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

from headless.media.guard import redact_url
from headless.params.dialects.payload import Payload, Sent
from headless.params.problems import Problem
from headless.params.show import show
from headless.params.validated import Location, path_of
from headless.task import Json
from wan2gp_patch.adjustment import Adjustment

LONGEST_TOLD: Final = 200


@dataclass(frozen=True)
class Translation:
    """Canonical fields, the names under which they were sent, and what is to be reported."""

    fields: Mapping[str, Json]
    sources: Mapping[str, str]
    problems: tuple[Problem, ...]
    ignored_fields: tuple[str, ...]
    adjustments: tuple[Adjustment, ...]

    def named(self, location: Location) -> str:
        """The name under which the value was sent; what was sent as one value keeps its inner path."""
        for end in range(len(location), 0, -1):
            sent = self.sources.get(path_of(location[:end]))
            if sent is not None:
                return path_of((sent, *location[end:]))
        return path_of(location)


@dataclass
class Draft:
    """A translation in the making. `prefix` stands before canonical names, such as `segments[2].`."""

    fields: dict[str, Json] = field(default_factory=dict)
    sources: dict[str, str] = field(default_factory=dict)
    adjustments: list[Adjustment] = field(default_factory=list)
    prefix: str = ""
    added_loras: list[Json] = field(default_factory=list)
    """LoRAs beside those that were sent; segments with LoRAs of their own have them, too."""

    def take(self, name: str, sent: Sent | None) -> None:
        """The canonical field `name` is what was sent, if anything was."""
        if sent is not None:
            self.put(name, sent.value, sent.name)

    def put(self, name: str, value: Json, sent_as: str) -> None:
        """The canonical field `name` is `value`, made of the field `sent_as`."""
        self.fields[name] = value
        self.sources[self.prefix + name] = sent_as

    def add_loras(self, loras: list[Json], otherwise: str) -> None:
        """Further LoRAs. `otherwise`: the field because of which they act, where none were sent."""
        given = self.fields.get("loras")
        before = given if isinstance(given, list) else []
        self.added_loras += loras
        self.put("loras", [*before, *loras], self.sources.get(f"{self.prefix}loras", otherwise))

    def expect(self, name: str, sent_as: str) -> None:
        """How a message calls the field if it is missing."""
        self.sources.setdefault(self.prefix + name, sent_as)

    def adjusted(self, name: str, requested: Json, used: Json, why: str) -> None:
        """Report that a value acts in another way than it was sent; texts are shortened."""
        if requested != used or isinstance(requested, bool) != isinstance(used, bool):
            self.adjustments.append(Adjustment(name, _short(requested), _short(used), why))

    def segment(self, index: int) -> Draft:
        """A draft of segment `index`, which reports where this one does."""
        return Draft({}, self.sources, self.adjustments, f"{self.prefix}segments[{index}].")

    def done(self, payload: Payload) -> Translation:
        """The finished translation."""
        return Translation(
            self.fields,
            self.sources,
            tuple(payload.problems),
            payload.ignored_fields,
            tuple(self.adjustments),
        )


def _short(value: Json) -> Json:
    """A value as a result may repeat it: what was sent may be large, and an address may hold a secret."""
    if isinstance(value, str):
        text = redact_url(value) if "://" in value else value
        return text if len(text) <= LONGEST_TOLD else f"{text[:LONGEST_TOLD]}..."
    large = isinstance(value, int) and value.bit_length() > 64
    return show(value) if large or isinstance(value, dict | list) else value
