"""A video's task again, from the video alone."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from headless.media.video import read_clip, read_metadata
from headless.params import parse
from headless.run_task import seed_of
from headless.task_told import told_task
from tests.cli.terminal import Terminal
from tests.cli.videos import TASK, settings, video
from tests.worker.place import picture_file

SECRET = "https://media.example.org/cat.png?token=hunter2"


def test_a_video_is_made_again_from_itself_alone(terminal: Terminal, tmp_path: Path) -> None:
    place = terminal.place
    job = place.job(end_image=place.picture(seed=3), loras={}, fps=24)
    first = place.enqueue({**job, "seed": None})
    place.work()
    made = place.stored(first, "video.mp4")
    replayed = json.loads(terminal.good("replay", str(made)))
    assert replayed == {**job, "seed": seed_of(first), "loras": []}
    (tmp_path / "job.json").write_text(json.dumps(replayed), encoding="utf-8")
    second = terminal.good("submit", "--file", str(tmp_path / "job.json"))
    third = terminal.good("replay", str(made), "--submit")
    place.work()
    for task in (second, third):
        again = place.stored(task, "video.mp4")
        assert np.array_equal(read_clip(again), read_clip(made))
        assert terminal.good("diff", str(made), str(again)) == "the settings are the same"
    other = place.enqueue(job)
    place.work()
    said = terminal.run("diff", str(made), str(place.stored(other, "video.mp4")))
    assert said.status == 1
    assert f"seed: {seed_of(first)} -> 7" in said.out.splitlines()


@pytest.mark.parametrize(
    "params",
    [
        {"prompt": "a cat", "steps": 4, "strict": True, "image_fit": "pad", "svi2pro": False},
        {"prompt": "a cat", "loras": {"a.safetensors": 0.5, "b.safetensors": "1;0.5,0.2"}},
        {
            "prompt": "a cat",
            "phase_config": {
                "num_phases": 2,
                "steps_per_phase": [2, 2],
                "flow_shift": 5.0,
                "phases": [
                    {"phase": 1, "guidance_scale": 3.5, "loras": [{"url": "a.safetensors"}]},
                    {"phase": 2, "guidance_scale": 1.0},
                ],
            },
        },
        {"prompts": ["one", "two"], "images": [f"storage://inputs/me/{name}.png" for name in "abc"]},
        {
            "prompt": "a cat",
            "segments": [{"seconds": 2.5}, {"prompt": "it sleeps", "end_image": "https://example.org/e.png"}],
            "continuation": "last_frame",
            "color_lock": "previous",
            "reroll": {"1": [11, 12]},
        },
        {"prompt": "see https://example.org/?q=1 and more", "seconds": 30, "extend_from": TASK},
    ],
)
def test_what_is_kept_is_the_task_itself(params: dict[str, Any]) -> None:
    """As JSON and back, it means the same."""
    asked = parse("generate", {"model": "wan_tiny_i2v", **params})
    told = json.loads(json.dumps(told_task(asked)))
    assert parse("generate", told) == asked
    assert told_task(parse("generate", told)) == told


def test_a_task_without_a_seed_gets_the_one_that_was_chosen(terminal: Terminal, tmp_path: Path) -> None:
    told = settings()
    del told["request"]["seed"]
    said = terminal.run("replay", str(video(tmp_path / "a.mp4", told)))
    assert (said.status, said.err) == (0, "")
    assert json.loads(said.out) == {"model": "wan_tiny_i2v", "prompt": "a cat", "seed": seed_of(TASK)}


def test_no_secret_is_kept_in_a_video(terminal: Terminal) -> None:
    params: dict[str, Any] = {
        "model": "wan_tiny_i2v",
        "prompt": "a cat",
        "start_image": SECRET,
        "loras": [{"name": "https://example.org/style.safetensors?token=hunter2"}],
        "segments": [{}, {"end_image": SECRET}],
    }
    told = told_task(parse("generate", params))
    assert "hunter2" not in json.dumps(told)
    assert told["start_image"] == "https://media.example.org/cat.png…"
    task = terminal.place.enqueue(terminal.place.job())
    terminal.place.work()
    kept = json.loads(read_metadata(terminal.place.stored(task, "video.mp4"))["headless"])["request"]
    assert kept["start_image"].startswith("storage://inputs/local/")


def test_an_input_whose_address_was_cut_is_named_and_can_be_given(terminal: Terminal, tmp_path: Path) -> None:
    picture = picture_file(tmp_path / "cat.png")
    sha256 = hashlib.sha256(picture.read_bytes()).hexdigest()
    cut = "https://media.example.org/cat.png…"
    request = {"start_image": cut, "segments": [{}, {"end_image": cut}]}
    told = settings(request, inputs={"start_image": sha256, "segments[1].end_image": sha256})
    path = str(video(tmp_path / "a.mp4", told))
    said = terminal.run("replay", path)
    assert said.status == 0
    assert json.loads(said.out)["start_image"] == cut
    assert said.err.splitlines() == [
        f"note: {field} is only known as {cut}: give its file with --input {field}=FILE. "
        f"Its SHA-256 is {sha256}."
        for field in ("start_image", "segments[1].end_image")
    ]
    assert "start_image is only known as" in terminal.bad("replay", path, "--submit")
    given = ("--input", f"start_image={picture}", "--input", f"segments[1].end_image={picture}")
    assert json.loads(terminal.good("replay", path, *given))["start_image"] == str(picture)
    params = terminal.place.view(terminal.good("replay", path, *given, "--submit")).params
    assert isinstance(params, dict)
    assert params["start_image"] == f"storage://inputs/local/{sha256}.png"
    assert params["segments"] == [{}, {"end_image": f"storage://inputs/local/{sha256}.png"}]


def test_a_lora_whose_address_was_cut_is_named(terminal: Terminal, tmp_path: Path) -> None:
    request = {"loras": [{"name": "https://example.org/style.safetensors…", "strength": 1.0}]}
    path = str(video(tmp_path / "a.mp4", settings(request)))
    said = terminal.bad("replay", path, "--submit")
    assert "loras[0].name is only known as https://example.org/style.safetensors…" in said
    assert "name the file, or its whole address, in the job" in said


def test_files_that_are_not_the_inputs_are_refused(terminal: Terminal, tmp_path: Path) -> None:
    other = picture_file(tmp_path / "other.png", seed=2)
    told = settings({"start_image": "https://example.org/a.png"}, inputs={"start_image": "0" * 64})
    path = str(video(tmp_path / "a.mp4", told))
    assert "is another file: its SHA-256 is" in terminal.bad(
        "replay", path, "--input", f"start_image={other}"
    )
    assert "Legal are start_image=FILE" in terminal.bad("replay", path, "--input", f"end_image={other}")
    assert "Legal are start_image=FILE" in terminal.bad("replay", path, "--input", "start_image")
    missing = terminal.bad("replay", path, "--input", f"start_image={tmp_path}/none.png")
    assert "cannot be read (No such file or directory)" in missing
    bare = str(video(tmp_path / "b.mp4", settings()))
    assert "it has no inputs" in terminal.bad("replay", bare, "--input", f"start_image={other}")


def test_an_input_that_is_gone_from_storage_is_named(terminal: Terminal, tmp_path: Path) -> None:
    reference = "storage://inputs/local/" + "a" * 64 + ".png"
    told = settings({"start_image": reference}, inputs={"start_image": "a" * 64})
    path = str(video(tmp_path / "a.mp4", told))
    assert json.loads(terminal.good("replay", path))["start_image"] == reference
    said = terminal.bad("replay", path, "--submit")
    assert f"start_image is {reference}, which is not in this storage" in said
    assert "a" * 64 in said


@pytest.mark.parametrize("reference", ["/etc/passwd", "cat.png", 5])
def test_a_video_cannot_have_files_of_this_machine_sent(
    reference: object, terminal: Terminal, tmp_path: Path
) -> None:
    """Who gives somebody a video must not read that person's files by it."""
    requests: list[dict[str, Any]] = [
        {"start_image": reference},
        {"images": [reference]},
        {"segments": [{"end_image": reference}]},
    ]
    for number, request in enumerate(requests):
        path = str(video(tmp_path / f"{number}.mp4", settings(request)))
        said = terminal.bad("replay", path, "--submit")
        assert "which no task can have been given" in said
    assert not (terminal.place.local / "files" / "inputs").exists()


def test_wrong_settings_are_refused_as_in_any_job(terminal: Terminal, tmp_path: Path) -> None:
    said = terminal.bad("replay", str(video(tmp_path / "a.mp4", settings({"steps": 0, "\x1b[2J": 1}))))
    assert "steps is 0" in said
    assert "\x1b" not in said


@pytest.mark.parametrize("command", ["replay", "diff"])
def test_files_without_settings_are_refused_clearly(command: str, terminal: Terminal, tmp_path: Path) -> None:
    good = video(tmp_path / "good.mp4", settings())

    def refusal(path: Path) -> str:
        more = (str(good),) if command == "diff" else ()
        return terminal.bad(command, str(path), *more)

    def of(told: object) -> str:
        return refusal(video(tmp_path / "bad.mp4", told))

    assert "bad.mp4 has no settings in it. Only the finished videos of this program" in of(None)
    assert "its settings are damaged" in of("{nonsense")
    assert "its settings are damaged" in of("[" * 100_000)
    assert "not written by this program" in of("[]")
    assert "not written by this program" in of({"format": 1})
    assert "are of format 2; this version reads 1" in of(settings(format=2))
    cut = tmp_path / "cut.mp4"
    cut.write_bytes(good.read_bytes()[:-50])
    assert "incomplete: 50 of" in refusal(cut)
    other = tmp_path / "other.mp4"
    other.write_bytes(b"<html>")
    assert "expected a video, found an HTML page" in refusal(other)
    assert "none.mp4 cannot be read (No such file or directory)" in refusal(tmp_path / "none.mp4")
    assert "cannot be read (Is a directory)" in refusal(tmp_path)
    assert "incomplete: 50 of" in terminal.bad("diff", str(good), str(cut))


def test_a_video_of_an_earlier_version_says_what_can_be_done(terminal: Terminal, tmp_path: Path) -> None:
    told = settings()
    del told["request"]
    said = terminal.bad("replay", str(video(tmp_path / "a.mp4", told)))
    assert "made by a version that did not keep the task itself in it" in said
