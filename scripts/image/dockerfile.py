"""Reads a Dockerfile: the few instructions that ours uses, and nothing else silently."""

from __future__ import annotations

import json
import shlex
from dataclasses import dataclass, field
from pathlib import PurePosixPath

_STEPS = ("RUN", "COPY", "USER", "WORKDIR", "ENV")
_SETTINGS = ("FROM", "VOLUME", "HEALTHCHECK", "STOPSIGNAL", "ENTRYPOINT")


class UnknownInstructionError(Exception):
    """The Dockerfile uses what this reader does not know. Teach the reader, or do without."""


@dataclass(frozen=True)
class Copy:
    """Files and folders of the checkout, where they go, and whose they become."""

    sources: tuple[str, ...]
    target: str
    owner: str


@dataclass(frozen=True)
class Step:
    """One instruction: its name, and everything after the name on one line."""

    name: str
    text: str

    def copied(self) -> Copy:
        """What a COPY copies."""
        flags = [word for word in shlex.split(self.text) if word.startswith("--")]
        owners = [word.removeprefix("--chown=").partition(":")[0] for word in flags]
        if len(owners) != 1 or not flags[0].startswith("--chown="):
            raise UnknownInstructionError(f"COPY {self.text}: needs --chown=USER:GROUP and no other flag")
        *sources, target = [word for word in shlex.split(self.text) if word not in flags]
        return Copy(tuple(sources), target, owners[0])

    def variables(self) -> dict[str, str]:
        """What an ENV sets."""
        pairs = (word.partition("=") for word in shlex.split(self.text))
        return {name: value for name, _, value in pairs}


@dataclass(frozen=True)
class Image:
    """What a Dockerfile says. `steps` are carried out in order; the rest describes the container."""

    base: str
    entrypoint: tuple[str, ...]
    health: tuple[str, ...]
    volumes: tuple[PurePosixPath, ...]
    stop_signal: str
    steps: tuple[Step, ...] = field(repr=False)

    @property
    def environment(self) -> dict[str, str]:
        """The variables of a container."""
        return {name: value for s in self.steps if s.name == "ENV" for name, value in s.variables().items()}

    @property
    def user(self) -> str:
        """Who runs the container; root when nothing is said."""
        return ([s.text for s in self.steps if s.name == "USER"] or ["root"])[-1]

    @property
    def folder(self) -> str:
        """The working directory of a container."""
        return ([s.text for s in self.steps if s.name == "WORKDIR"] or ["/"])[-1]


def read(text: str) -> Image:
    """Read a Dockerfile's text. Raises `UnknownInstructionError`."""
    instructions = [Step(*line.split(maxsplit=1)) for line in _lines(text)]
    for step in instructions:
        if step.name not in (*_STEPS, *_SETTINGS):
            raise UnknownInstructionError(f"{step.name} {step.text}")
    settings = {step.name: step.text for step in instructions if step.name in _SETTINGS}
    return Image(
        base=settings["FROM"],
        entrypoint=_words(settings["ENTRYPOINT"]),
        health=_words(settings["HEALTHCHECK"].partition("CMD")[2]),
        volumes=tuple(PurePosixPath(path) for path in _words(settings["VOLUME"])),
        stop_signal=settings["STOPSIGNAL"],
        steps=tuple(step for step in instructions if step.name in _STEPS),
    )


def _lines(text: str) -> list[str]:
    """Instructions without comments, continued lines joined."""
    kept = [line for line in text.splitlines() if line.strip() and not line.lstrip().startswith("#")]
    return "\n".join(kept).replace("\\\n", " ").splitlines()


def _words(text: str) -> tuple[str, ...]:
    try:
        words = json.loads(text)
    except json.JSONDecodeError:
        words = None
    if not isinstance(words, list) or not all(isinstance(word, str) for word in words):
        raise UnknownInstructionError(f"{text} is not a list of words: only the exec form gets signals")
    return tuple(words)
