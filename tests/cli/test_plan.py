"""`plan`: what would run, for a job and for a queued task, without a GPU and without torch."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from headless.task import Json
from tests.cli.terminal import Terminal, run
from tests.e2e.children import ROOT, environment
from tests.worker.place import picture_file

BASE = ("--model", "wan_tiny_i2v", "--prompt", "a cat")


def _json(terminal: Terminal, *arguments: str) -> dict[str, Any]:
    return json.loads(terminal.good("plan", *arguments, "--json"))  # type: ignore[no-any-return]  # an object


def _write(folder: Path, **job: Json) -> str:
    path = folder / "job.json"
    path.write_text(json.dumps({"model": "wan_tiny_i2v", "prompt": "a cat"} | job), encoding="utf-8")
    return str(path)


def test_a_plan_for_people(terminal: Terminal, tmp_path: Path) -> None:
    picture_file(tmp_path / "start.png", 128, 64)
    picture_file(tmp_path / "end.png", 150, 100)
    job = _write(tmp_path, start_image="start.png", end_image="end.png", num_frames=82, svi2pro=True, seed=5)
    told = terminal.good("plan", "--file", job)
    lines = {line[:14].strip(): line[14:].strip() for line in told.splitlines()}
    assert lines["model"].startswith("wan_tiny_i2v (Tiny Wan")
    assert lines["start image"] == str(tmp_path / "start.png")
    assert lines["size"].startswith("128 x 64 pixels")
    assert lines["video"] == "81 frames, 5.06 s at 16 frames per second"
    assert lines["seed"] == "5"
    assert lines["svi2pro"] == "yes"
    assert lines["end frame mode"] == "extra_latent"
    assert lines["segment 0"] == "frames 0 to 80, of 81 made in 22 latents, seed 5"
    assert "adjusted        num_frames: 82 becomes 81, a clip has 4k+1 frames" in told
    assert 'adjusted        end_image: "150x100" becomes "128x64", cropped around the centre' in told


def test_a_plan_for_programs(terminal: Terminal) -> None:
    plan = _json(terminal, *BASE, "--steps", "8", "--loras", '{"a.safetensors": 0.5}', "--num-frames", "9")
    assert (plan["steps"], plan["num_frames"], plan["seed_chosen"]) == (8, 9, True)
    assert plan["loras"] == [{"name": "a.safetensors", "strength": "0.5", "of_model": False}]
    assert plan["adjustments"] == []
    assert [segment["num_frames"] for segment in plan["segments"]] == [9]


@pytest.mark.parametrize("name", ["start_image", "image", "image_start", "image_url"])
def test_the_shape_of_a_picture_counts_under_every_name(
    terminal: Terminal, tmp_path: Path, name: str
) -> None:
    picture_file(tmp_path / "a.png", 64, 144)
    plan = _json(terminal, "--file", _write(tmp_path, **{name: "a.png"}))
    assert (plan["width"], plan["height"]) == (64, 144)
    assert plan["start_image"] == str(tmp_path / "a.png")


def test_a_plan_of_a_queued_task_is_what_the_worker_does(terminal: Terminal) -> None:
    place = terminal.place
    params = place.job(num_frames=10, start_image=place.picture(150, 100), width=None, height=None)
    task = place.enqueue(params)
    plan = _json(terminal, task)
    assert place.work() == 0
    made = place.result(task)
    assert (plan["width"], plan["height"], plan["frames_out"]) == (
        made["width"],
        made["height"],
        made["frames"],
    )
    (planned,), (told,) = plan.pop("segments"), made["parameters"].pop("segments")
    assert {name: planned[name] for name in told} == told
    assert {name: plan[name] for name in made["parameters"]} == made["parameters"]
    assert [entry["field"] for entry in plan["adjustments"]] == ["num_frames", "start_image"]
    assert plan["adjustments"] == made["adjustments"]


def test_a_plan_names_the_seed_that_the_worker_will_choose(terminal: Terminal) -> None:
    place = terminal.place
    params = place.job()
    del params["seed"]
    task = place.enqueue(params)
    plan = _json(terminal, task)
    assert place.work() == 0
    assert (plan["seed"], plan["seed_chosen"]) == (place.result(task)["seed"], True)


@pytest.mark.parametrize("fit", ["crop", "pad"])
def test_a_plan_tells_what_will_not_fit_as_the_worker_does(terminal: Terminal, fit: str) -> None:
    place = terminal.place
    task = place.enqueue(place.job(width=128, height=64, image_fit=fit, end_image=place.picture(128, 64)))
    plan = _json(terminal, task)
    assert place.work() == 0
    assert [entry["field"] for entry in plan["adjustments"]] == ["start_image"]
    assert plan["adjustments"] == place.result(task)["adjustments"]


def test_a_plan_refuses_under_strict_what_the_worker_refuses(terminal: Terminal, tmp_path: Path) -> None:
    place = terminal.place
    task = place.enqueue(place.job(width=128, height=64, strict=True))
    said = terminal.bad("plan", task)
    assert place.work() == 0
    assert said == f"headless: {place.view(task).error_message}\n"
    picture = str(picture_file(tmp_path / "a.png", 64, 256))
    size = ("--width", "64", "--height", "64", "--strict")
    assert "64x256" in terminal.bad("plan", *BASE, "--start-image", picture, *size)


def test_a_size_that_is_not_known_yet_is_told(terminal: Terminal) -> None:
    url = ("--start-image", "https://example.org/a.png")
    said = terminal.run("plan", *BASE, *url)
    assert said.status == 0
    assert "start_image was not read; the size will follow its shape" in said.err
    assert "note" not in terminal.run("plan", *BASE, *url, "--width", "64", "--height", "64").err


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        ((*BASE, "--num-frames", "82", "--strict"), "num_frames is 82 and would become 81"),
        ((*BASE, "--model", "wan_tiny_i2w"), "Did you mean wan_tiny_i2v"),
        ((*BASE, "--svi2pro"), "give start_image or anchor_image"),
        ((*BASE, "--num-frames", "1000"), "makes clips of 1 to 161 frames"),
        ((*BASE, "--start-image", "no.png"), "start_image: there is no file no.png"),
        (
            (*BASE, "--segments", '[{"end_image": "no.png"}]'),
            "segments[0].end_image: there is no file no.png",
        ),
        ((*BASE, "--images", '["no.png", "b.png"]'), "images[0]: there is no file no.png"),
        ((*BASE, "--seconds", "30", "--reroll", '{"99": [1]}'), "reroll names segment 99"),
        (("00000000-0000-4000-8000-00000000dead",), "There is no task"),
        ((), "There is no job"),
        ((*BASE, "--models-dir", "/nowhere"), "--models-dir /nowhere is not a folder"),
    ],
)
def test_a_bad_plan_is_bad_use(terminal: Terminal, arguments: tuple[str, ...], says: str) -> None:
    assert says in terminal.bad("plan", *arguments).replace(f"{Path.cwd()}/", "")


def test_a_picture_that_is_none_is_bad_use(terminal: Terminal, tmp_path: Path) -> None:
    (tmp_path / "a.png").write_text("I am a picture, believe me.")
    told = terminal.bad("plan", *BASE, "--start-image", str(tmp_path / "a.png"))
    assert "start_image" in told


def _chain(folder: Path, **job: Json) -> str:
    for name in ("a.png", "b.png", "c.png"):
        picture_file(folder / name, 128, 64)
    return _write(folder, num_frames=33, seed=5, **job)


def test_a_plan_of_segments_and_its_picture(terminal: Terminal, tmp_path: Path) -> None:
    segments: Json = [{"prompt": "up"}, {"image_end": "b.png"}, {"end_image": "c.png", "seconds": 2}]
    job = _chain(tmp_path, start_image="a.png", segments=segments, model="wan_tiny_i2v_svi2pro")
    told = terminal.run("plan", "--file", job, "--picture", str(tmp_path / "plan.png"))
    assert told.status == 0, told.err
    assert f"segments[1].end_image  {tmp_path / 'b.png'}" in told.out
    assert "segment 2              frames 61 to 92, of 37 made in 11 latents" in told.out
    assert f"drawn in {tmp_path / 'plan.png'}" in told.err
    with Image.open(tmp_path / "plan.png") as drawn:
        assert drawn.format == "PNG"
        assert drawn.size == (1760, 866)


def test_a_plan_of_images_names_each_that_does_not_fit(terminal: Terminal, tmp_path: Path) -> None:
    job = _chain(tmp_path, images=["a.png", "b.png", "c.png"], width=64, height=64)
    plan = _json(terminal, "--file", job, "--loop")
    assert [entry["field"] for entry in plan["adjustments"]] == ["images[0]", "images[1]", "images[2]"]
    assert plan["images[1]"] == str(tmp_path / "b.png")
    assert [own["inputs"]["end_image"] for own in plan["segments"]] == ["images[1]", "images[2]", "images[0]"]
    assert (plan["frames_out"], plan["loop"]) == (33 + 32 + 32, True)


def test_a_picture_of_a_queued_chain(terminal: Terminal, tmp_path: Path) -> None:
    place = terminal.place
    picture = place.picture(128, 64)
    task = place.enqueue(place.job(start_image=picture, segments=[{}, {"end_image": picture}], width=None))
    terminal.good("plan", task, "--picture", str(tmp_path / "plan.webp"))
    with Image.open(tmp_path / "plan.webp") as drawn:
        assert drawn.height == 142 + 2 * 232 + 28


def test_the_size_of_a_video_that_is_extended_counts(terminal: Terminal, tmp_path: Path) -> None:
    place = terminal.place
    task = place.enqueue(place.job(num_frames=5, width=96, height=64))
    assert place.work() == 0
    video = str(place.stored(task, "video.mp4"))
    plan = _json(terminal, *BASE, "--extend-from", video)
    assert (plan["width"], plan["height"], plan["extend_from"]) == (96, 64, video)
    said = terminal.bad("plan", *BASE, "--extend-from", video, "--width", "128", "--height", "128")
    assert "extend_from is 96 x 64" in said


def test_a_picture_has_a_legal_name(terminal: Terminal, tmp_path: Path) -> None:
    said = terminal.bad("plan", *BASE, "--picture", str(tmp_path / "plan.pdf"))
    assert "give a file that ends with .png, .jpg, .jpeg, .webp" in said
    assert list(tmp_path.glob("*.pdf")) == []


def test_a_plan_needs_no_queue(tmp_path: Path) -> None:
    said = run("plan", *BASE)
    assert said.status == 0, said.err


def test_a_broken_definition_is_told_beside_the_plan_and_not_in_it(terminal: Terminal) -> None:
    configs = terminal.place.folder / "models" / "configs"
    configs.mkdir(parents=True)
    (configs / "mine.json").write_text("{")
    said = terminal.run("plan", *BASE, "--json", "--models-dir", str(configs.parent))
    assert said.status == 0
    assert json.loads(said.out)["model"] == "wan_tiny_i2v"
    assert "mine" in said.err


def test_planning_imports_no_torch() -> None:
    code = (
        "import sys; from headless.cli.main import main; "
        "status = main(['plan', '--model', 'wan_tiny_i2v', '--prompt', 'a']); "
        "sys.exit(status or ('torch' in sys.modules and 9) or 0)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, env=environment(), capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
