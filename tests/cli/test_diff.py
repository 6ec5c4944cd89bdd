"""Which settings of two videos differ."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tests.cli.terminal import Terminal, run
from tests.cli.videos import settings, video


def differing(terminal: Terminal, folder: Path, a: dict[str, Any], b: dict[str, Any]) -> list[str]:
    paths = [str(video(folder / name, told)) for name, told in (("a.mp4", a), ("b.mp4", b))]
    said = terminal.run("diff", *paths)
    assert said.err == ""
    told = json.loads(terminal.run("diff", *paths, "--json").out)
    lines = said.out.splitlines()
    assert said.status == (0 if told["same"] else 1)
    assert told["same"] == (lines == ["the settings are the same"])
    assert [one["setting"] for one in told["differences"]] == (
        [] if told["same"] else [line.split(": ")[0] for line in lines]
    )
    return lines


def with_parameters(**changes: Any) -> dict[str, Any]:
    told = settings()
    return told | {"parameters": told["parameters"] | changes}


def test_equal_settings(terminal: Terminal, tmp_path: Path) -> None:
    other = settings({"prompt": "put in other words"}, task="another", task_type="i2v")
    assert differing(terminal, tmp_path, settings(), other) == ["the settings are the same"]


def test_every_value_that_differs_is_named(terminal: Terminal, tmp_path: Path) -> None:
    a = with_parameters(loras=[{"name": "a", "strength": "1.0"}], phase_guidance=[3.5, 1.0], prompt='"x"')
    b = with_parameters(loras=[{"name": "a", "strength": "0.5"}], phase_guidance=[3.5], seed=8, end=None)
    b["versions"] = {"headless": "2", "engine": "fake"}
    assert differing(terminal, tmp_path, a, b) == [
        'prompt: "\\"x\\"" -> "a cat"',
        "seed: 7 -> 8",
        'loras[0].strength: "1.0" -> "0.5"',
        "phase_guidance[1]: 1.0 -> (none)",
        'versions.headless: "1" -> "2"',
        "end: (none) -> null",
    ]


def test_what_only_follows_from_settings_is_no_difference(terminal: Terminal, tmp_path: Path) -> None:
    segment = {"seed": 7, "num_frames": 17, "head_frames": 9, "slots": [{"what": "nothing"}], "index": 0}
    a = with_parameters(segments=[segment], frames_out=33, duration_seconds=2.062, seed_chosen=True)
    longer = segment | {"num_frames": 21, "head_frames": 1, "slots": []}
    b = with_parameters(segments=[longer], frames_out=49, duration_seconds=3.062, seed_chosen=False)
    assert differing(terminal, tmp_path, a, b) == ["segments[0].num_frames: 17 -> 21"]


def test_true_is_not_one(terminal: Terminal, tmp_path: Path) -> None:
    assert differing(terminal, tmp_path, with_parameters(svi2pro=True), with_parameters(svi2pro=1)) == [
        "svi2pro: true -> 1"
    ]


def test_inputs_count_by_their_content(terminal: Terminal, tmp_path: Path) -> None:
    a = with_parameters(start_image="storage://inputs/me/a.png") | {"inputs": {"start_image": "1" * 64}}
    moved = with_parameters(start_image="https://example.org/a.png") | {"inputs": {"start_image": "1" * 64}}
    other = with_parameters(start_image="storage://inputs/me/a.png") | {"inputs": {"start_image": "2" * 64}}
    assert differing(terminal, tmp_path, a, moved) == ["the settings are the same"]
    assert differing(terminal, tmp_path, a, other) == [f'start_image (sha256): "{"1" * 64}" -> "{"2" * 64}"']
    assert differing(terminal, tmp_path, a, settings()) == [f'start_image (sha256): "{"1" * 64}" -> (none)']


def test_json_has_the_values(terminal: Terminal, tmp_path: Path) -> None:
    a, b = (
        str(video(tmp_path / name, told))
        for name, told in (("a.mp4", settings()), ("b.mp4", with_parameters(seed=8, more={})))
    )
    said = terminal.run("diff", a, b, "--json")
    assert json.loads(said.out) == {
        "same": False,
        "differences": [{"setting": "seed", "a": 7, "b": 8}, {"setting": "more", "b": {}}],
    }
    assert said.status == 1


def test_nothing_that_a_terminal_acts_on_is_printed(terminal: Terminal, tmp_path: Path) -> None:
    lines = differing(
        terminal, tmp_path, with_parameters(prompt="\x1b[2J\u202e" + "x" * 5000), with_parameters(prompt="b")
    )
    assert "\x1b" not in lines[0]
    assert "\u202e" not in lines[0]
    assert len(lines[0]) < 500


@pytest.mark.parametrize("command", ["replay", "diff"])
def test_help(command: str) -> None:
    said = run(command, "--help")
    assert (said.status, said.err) == (0, "")
    assert f"  python -m headless {command} " in said.out
    assert max(map(len, said.out.splitlines())) <= 120
