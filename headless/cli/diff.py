"""`diff`: which settings of two videos differ."""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Final

from headless.cli.command import Commands, add_command
from headless.cli.exit_codes import DONE
from headless.cli.video_settings import read_settings
from headless.task import Json

DIFFER = 1
_NOT_SETTINGS: Final = ("format", "task", "task_type", "request", "parameters", "inputs")
_FOLLOWS: Final = frozenset(
    {
        "adjustments",
        "duration_seconds",
        "first_frame",
        "frames_out",
        "head_frames",
        "index",
        "inputs",
        "latents",
        "new_frames",
        "seed_chosen",
        "shown_frames",
        "slots",
        "tail_frames",
    }
)
"""What the plan of a video says besides settings: it only follows from them."""
_LONGEST: Final = 300


def add(commands: Commands, environ: Mapping[str, str]) -> None:
    """Add the command."""
    del environ
    parser = add_command(
        commands,
        "diff",
        "name the settings in which two videos differ",
        "Names the settings in which two videos differ, by what is written inside them: parameters as they "
        "were\nused, inputs by their content, versions. Exits with 0 where all are the same, with 1 where "
        "some differ,\nand with 2 where there is nothing to compare.",
        "  python -m headless diff a.mp4 b.mp4\n  python -m headless diff a.mp4 b.mp4 --json\n",
    )
    parser.add_argument("a", metavar="A.mp4", type=Path, help="a finished video")
    parser.add_argument("b", metavar="B.mp4", type=Path, help="another one")
    parser.add_argument("--json", action="store_true", help="print the differences as JSON")
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace, _: Mapping[str, str]) -> int:
    """0 where the settings are the same, 1 where they differ."""
    a, b = (dict(_settings(read_settings(path))) for path in (arguments.a, arguments.b))
    names = [name for name in (*a, *(name for name in b if name not in a)) if _differ(name, a, b)]
    if arguments.json:
        found = [
            {"setting": name, **{side: of[name] for side, of in (("a", a), ("b", b)) if name in of}}
            for name in names
        ]
        print(json.dumps({"same": not names, "differences": found}, indent=2, ensure_ascii=False))
    elif not names:
        print("the settings are the same")
    for name in () if arguments.json else names:
        print(f"{name}: {_shown(name, a)} -> {_shown(name, b)}")
    return DIFFER if names else DONE


def _differ(name: str, a: Mapping[str, Json], b: Mapping[str, Json]) -> bool:
    """An absent setting differs from null; true is not 1."""
    return json.dumps(a.get(name)) != json.dumps(b.get(name)) or (name in a) != (name in b)


def _settings(told: Mapping[str, Any]) -> Iterator[tuple[str, Json]]:
    """Every single value under its path. Inputs count by their content, wherever they lay."""
    inputs = told.get("inputs")
    known = inputs if isinstance(inputs, dict) else {}
    whole = {name: value for name, value in told["parameters"].items() if name not in known}
    whole |= {name: told[name] for name in told if name not in (*_NOT_SETTINGS, *whole)}
    for name, value in whole.items():
        yield from _flat(name, value) if name not in _FOLLOWS else ()
    for name, sha256 in known.items():
        yield f"{name} (sha256)", sha256


def _flat(path: str, value: Json) -> Iterator[tuple[str, Json]]:
    if isinstance(value, dict) and value:
        for key, item in value.items():
            yield from _flat(f"{path}.{key}", item) if key not in _FOLLOWS else ()
    elif isinstance(value, list) and value:
        for index, item in enumerate(value):
            yield from _flat(f"{path}[{index}]", item)
    else:
        yield path, value


def _shown(name: str, settings: Mapping[str, Json]) -> str:
    """A value on one line, as JSON, without anything that a terminal acts on."""
    if name not in settings:
        return "(none)"
    text = json.dumps(settings[name], ensure_ascii=False)
    cut = text if len(text) <= _LONGEST else f"{text[:_LONGEST]}..."
    return "".join(letter if letter.isprintable() else ascii(letter)[1:-1] for letter in cut)
