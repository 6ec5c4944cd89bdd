"""Every line about a job names it, and `[SVI_DEBUG]` lines come with `--debug` only."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import pytest

import worker
from headless.task import TaskStatus
from tests.e2e.children import log_lines, run_worker
from tests.e2e.test_isolation import PATCHED, RESTORED
from tests.worker.mp4 import read_mp4
from tests.worker.place import Place

OF_THE_WORKER = {"worker started", "worker stopped"}


@dataclass(frozen=True)
class Logged:
    """A worker's log, parsed, and its tasks."""

    lines: list[dict[str, Any]]
    place: Place
    svi: str
    plain: str
    bad: str


def _run(place: Place, *flags: str) -> Logged:
    svi = place.enqueue(place.job(svi2pro=True, end_image=place.picture(seed=2)))
    plain = place.enqueue(place.job())
    bad = place.enqueue(place.job(steps=0))
    ended = run_worker(*place.flags("--until-idle", *flags))
    assert ended.returncode == 0, ended.stderr
    return Logged(log_lines(ended.stderr), place, svi, plain, bad)


@pytest.fixture(scope="module")
def debug(tmp_path_factory: pytest.TempPathFactory) -> Logged:
    """Three tasks on the tiny model, with `--debug`."""
    return _run(Place(tmp_path_factory.mktemp("debug") / "place"), "--debug")


def test_the_tasks_ended_as_they_should(debug: Logged) -> None:
    assert debug.place.view(debug.svi).status is TaskStatus.COMPLETE
    assert debug.place.view(debug.plain).status is TaskStatus.COMPLETE
    assert debug.place.view(debug.bad).status is TaskStatus.FAILED


def test_every_line_of_a_job_names_task_and_attempt(debug: Logged) -> None:
    tasks = {debug.svi, debug.plain, debug.bad}
    for line in debug.lines:
        if line["event"] not in OF_THE_WORKER:
            assert line.get("task") in tasks, line
            assert line.get("attempt") == 1, line
    assert {line["task"] for line in debug.lines if "task" in line} == tasks


def test_debug_lines_describe_the_conditioning(debug: Logged) -> None:
    told = [line for line in debug.lines if line["event"].startswith("[SVI_DEBUG]")]
    of_svi = [line["event"] for line in told if line["task"] == debug.svi]
    of_plain = [line["event"] for line in told if line["task"] == debug.plain]
    for words in ("path=", "frames start=", "latents expected=", "mask known="):
        assert any(words in event for event in of_svi)
        assert any(words in event for event in of_plain)
    assert {line["logger"] for line in told} == {"svi"}
    assert {line["level"] for line in told} == {"debug"}


def test_the_patch_is_told_to_the_letter_for_its_task_alone(debug: Logged) -> None:
    told = [line for line in debug.lines if line["event"] in (PATCHED, RESTORED)]
    assert [line["event"] for line in told] == [PATCHED, RESTORED]
    assert {line["task"] for line in told} == {debug.svi}


def test_the_video_of_the_tiny_model_says_how_it_was_made(debug: Logged) -> None:
    result = debug.place.result(debug.svi)
    assert result["output_checks"] is False
    told = read_mp4(debug.place.stored(debug.svi, "video.mp4")).told
    assert told["parameters"] == result["parameters"]
    assert (told["seed"], told["model"]) == (7, "wan_tiny_i2v")
    assert {"engine", "torch", "diffusers", "transformers", "headless", "device"} <= set(told["versions"])
    assert result["engine"]["svi2pro"] is True
    assert {"start", "end", "last"} < set(result["scores"])
    assert result["scores"]["end"]["frame"] == "dropped"


def test_without_debug_there_are_no_debug_lines(place: Place, capsys: pytest.CaptureFixture[str]) -> None:
    task = place.enqueue(place.job(svi2pro=True))
    assert worker.main(place.flags("--until-idle", "--log-format", "json")) == 0
    lines = log_lines(capsys.readouterr().err)
    assert place.view(task).status is TaskStatus.COMPLETE
    assert "debug" not in {line["level"] for line in lines}
    assert not any("[SVI_DEBUG]" in line["event"] for line in lines)
    assert [line["event"] for line in lines if line["event"] in (PATCHED, RESTORED)] == [PATCHED, RESTORED]
