"""Queueing a job: flags, files, aliases, what is refused, and what is stored."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from headless.task import Capability, Json
from tests.cli.terminal import Terminal
from tests.worker.place import picture_file

BASE = ("--model", "wan_tiny_i2v", "--prompt", "a cat")


def _write(folder: Path, **job: Json) -> str:
    path = folder / "job.json"
    path.write_text(json.dumps({"model": "wan_tiny_i2v", "prompt": "a cat"} | job), encoding="utf-8")
    return str(path)


def _inputs(terminal: Terminal) -> list[Path]:
    return sorted((terminal.place.local / "files" / "inputs" / "local").glob("*"))


def test_flags_become_parameters(terminal: Terminal) -> None:
    flags = ("--num-frames", "9", "--guidance-scale", "1.5", "--svi2pro", "--no-strict", "--seed", "7")
    task = terminal.good("submit", *BASE, *flags, "--loras", '[{"name": "a.safetensors", "strength": 0.5}]')
    assert terminal.place.view(task).params == {
        "model": "wan_tiny_i2v",
        "prompt": "a cat",
        "num_frames": 9,
        "guidance_scale": 1.5,
        "svi2pro": True,
        "strict": False,
        "seed": 7,
        "loras": [{"name": "a.safetensors", "strength": 0.5}],
    }


def test_a_file_is_queued_with_its_pictures_in_storage(terminal: Terminal, tmp_path: Path) -> None:
    picture = picture_file(tmp_path / "start.PNG").read_bytes()
    task = terminal.good("submit", "--file", _write(tmp_path, start_image="start.PNG", num_frames=5))
    (stored,) = _inputs(terminal)
    assert stored.suffix == ".png"
    assert stored.read_bytes() == picture
    params = terminal.place.view(task).params
    assert isinstance(params, dict)
    assert params["start_image"] == f"storage://inputs/local/{stored.name}"
    assert terminal.place.view(task).task_type == "generate"


def test_files_of_segments_and_images_are_stored(terminal: Terminal, tmp_path: Path) -> None:
    for seed, name in enumerate(("a.png", "b.png")):
        picture_file(tmp_path / name, seed=seed)
    segments: Json = [{"end_image": "a.png", "prompt": "a.png"}, {"image_start": "a.png"}]
    tasks = [
        terminal.good("submit", "--file", _write(tmp_path, segments=segments)),
        terminal.good(
            "submit", *BASE, "--images", json.dumps([str(tmp_path / "a.png"), str(tmp_path / "b.png")])
        ),
    ]
    stored = {path.read_bytes(): f"storage://inputs/local/{path.name}" for path in _inputs(terminal)}
    one, two = (stored[(tmp_path / name).read_bytes()] for name in ("a.png", "b.png"))
    chain, travel = (terminal.place.view(task).params for task in tasks)
    assert isinstance(chain, dict)
    assert isinstance(travel, dict)
    assert chain["segments"] == [{"end_image": one, "prompt": "a.png"}, {"image_start": one}]
    assert travel["images"] == [one, two]


@pytest.mark.parametrize(
    "name", ["image", "image_start", "image_end", "last_image", "image_refs", "continue_from"]
)
def test_file_names_are_found_under_every_name(terminal: Terminal, tmp_path: Path, name: str) -> None:
    picture_file(tmp_path / "a.png")
    value: Json = ["a.png"] if name == "image_refs" else "a.png"
    job: dict[str, Json] = {name: value, "svi2pro": True, "start_image": "a.png"}
    if name in ("image", "image_start"):
        del job["start_image"]
    task = terminal.good("submit", "--file", _write(tmp_path, **job))
    params = terminal.place.view(task).params
    assert isinstance(params, dict)
    (stored,) = _inputs(terminal)
    reference = f"storage://inputs/local/{stored.name}"
    assert params[name] == ([reference] if name == "image_refs" else reference)


def test_urls_and_references_stay_as_they_are(terminal: Terminal) -> None:
    url, key = "https://example.org/a.png?token=x", "storage://inputs/local/a.png"
    task = terminal.good("submit", *BASE, "--start-image", url, "--end-image", key)
    params = terminal.place.view(task).params
    assert isinstance(params, dict)
    assert (params["start_image"], params["end_image"]) == (url, key)
    assert _inputs(terminal) == []


def test_flags_win_over_the_file_and_start_here(
    terminal: Terminal, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    here = tmp_path / "here"
    here.mkdir()
    picture_file(here / "mine.png", seed=4)
    monkeypatch.chdir(here)
    job = _write(tmp_path, start_image="not-there.png", seed=1, priority=2)
    task = terminal.good(
        "submit", "--file", job, "--start-image", "mine.png", "--seed", "2", "--priority", "5"
    )
    view = terminal.place.view(task)
    assert isinstance(view.params, dict)
    assert view.params["seed"] == 2
    assert view.priority == 5
    assert len(_inputs(terminal)) == 1


def test_a_home_folder_is_understood(
    terminal: Terminal, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    picture_file(tmp_path / "a.png")
    terminal.good("submit", *BASE, "--start-image=~/a.png")
    terminal.good("submit", "--file", _write(tmp_path, start_image="~/a.png"))
    assert len(_inputs(terminal)) == 1


@pytest.mark.parametrize("name", ["a.backup20240101", "a.pñg", "a", "a.PNG"])
def test_a_picture_may_have_any_name(terminal: Terminal, tmp_path: Path, name: str) -> None:
    picture_file(tmp_path / "a.png").rename(tmp_path / name)
    terminal.good("submit", *BASE, "--start-image", str(tmp_path / name))
    assert [path.suffix for path in _inputs(terminal)] == [".png" if name == "a.PNG" else ""]


def test_what_stands_beside_the_parameters(terminal: Terminal) -> None:
    first = terminal.good("submit", *BASE)
    flags = ("--idempotency-key", "k", "--project-id", "p", "--dependant-on", first)
    second = terminal.good("submit", *BASE, *flags)
    assert terminal.good("submit", *BASE, *flags) == second
    with terminal.place.queue() as queue:
        claims = [queue.claim("w", name, Capability()) for name in "ab"]
    assert [claim.task_id if claim else None for claim in claims] == [first, None]


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        ((), "There is no job. Give --file"),
        ((*BASE, "--steps", "four"), "--steps 'four' is not a whole number"),
        ((*BASE, "--flow-shift", "x"), "--flow-shift 'x' is not a number"),
        ((*BASE, "--loras", "{"), "--loras is not JSON"),
        ((*BASE, "--steps", "0"), "steps is 0: give a whole number from 1 to 100"),
        ((*BASE, "--end-frame-mode", "middle"), '"extra_latent"'),
        (("--prompt", "a"), "model is missing"),
        ((*BASE, "--start-image", "/nowhere/a.png"), "start_image: there is no file /nowhere/a.png"),
        ((*BASE, "--start-image", "a" * 400), "start_image: there is no file"),
        ((*BASE, "--start-image", "~nobody-here/a.png"), "the home folder of nobody here"),
        ((*BASE, "--start-image", "data:image/png;base64,AAAA"), "data: URLs are not fetched"),
        ((*BASE, "--loras", f"[{'9' * 5000}]"), "--loras is not JSON"),
        ((*BASE, "--start-image", "http://u:p@example.org/a.png"), "user name or password"),
        ((*BASE, "--start-image", "ftp://example.org/a.png"), "only https:// and http:// are legal"),
        ((*BASE, "--task-type", "train"), 'task_type is "train": give "generate"'),
        ((*BASE, "--priority", "high"), "--priority"),
        ((*BASE, "--dependant-on", "nobody"), "nobody"),
        ((*BASE, "--start", "a.png"), "--start"),
        (("--file", "/nowhere/job.json"), "--file /nowhere/job.json cannot be read"),
    ],
)
def test_bad_use_is_told(terminal: Terminal, arguments: tuple[str, ...], says: str) -> None:
    assert says in terminal.bad("submit", *arguments)
    assert terminal.good("list") == "no tasks"
    assert _inputs(terminal) == []


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("{", "is not JSON"),
        ("[1]", "must hold one JSON object"),
        ('"text"', "must hold one JSON object"),
        ('{"prompt": "a", "model": "m", "priority": "high"}', "priority is 'high'"),
        ('{"prompt": "a", "model": "m", "priority": true}', "priority is True"),
        ('{"prompt": "a", "model": "m", "dependant_on": "x"}', "dependant_on is 'x'"),
        ('{"prompt": "a", "model": "m", "num_framez": 5}', "did you mean num_frames?"),
        ('{"prompt": "a", "model": "m", "steps": 1, "num_inference_steps": 2}', "two names of one field"),
        ("[" * 100_000, "is not JSON"),
        (f'{{"prompt": "a", "model": "m", "seed": {"9" * 5000}}}', "is not JSON"),
        ('{"prompt": "a", "model": "m", "start_image": "~nobody-here/a.png"}', "home folder of nobody"),
    ],
)
def test_a_bad_file_is_told(terminal: Terminal, tmp_path: Path, text: str, says: str) -> None:
    path = tmp_path / "job.json"
    path.write_text(text)
    assert says in terminal.bad("submit", "--file", str(path))


def test_a_file_that_is_no_text_is_told(terminal: Terminal, tmp_path: Path) -> None:
    path = tmp_path / "job.json"
    path.write_bytes(b"\xff\xfe\x00")
    assert "is not JSON" in terminal.bad("submit", "--file", str(path))


def test_nothing_is_stored_for_a_job_that_is_refused(terminal: Terminal, tmp_path: Path) -> None:
    picture_file(tmp_path / "a.png")
    terminal.bad("submit", *BASE, "--start-image", str(tmp_path / "a.png"), "--steps", "0")
    assert _inputs(terminal) == []


def test_without_a_check_the_worker_is_the_judge(terminal: Terminal) -> None:
    task = terminal.good("submit", "--no-check", "--prompt", "a", "--steps", "0")
    assert terminal.place.work() == 0
    assert "steps is 0" in (terminal.place.view(task).error_message or "")


def test_a_queue_must_be_named(terminal: Terminal) -> None:
    terminal.environ.clear()
    assert "--local DIR" in terminal.bad("submit", *BASE)
