"""A video goes on from a task or a file: what was there stays as it is, and the frames follow on."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from headless.adapters.numbered_frames import draw_number, read_number
from headless.media.video import VideoWriter, read_clip
from headless.task import Json, TaskStatus
from tests.worker.place import Place

FIRST = 13
pytestmark = pytest.mark.usefixtures("without_sheets")


def _numbers(place: Place, task: str) -> list[int]:
    return [read_number(frame) for frame in read_clip(place.stored(task, "video.mp4"))]


def _video(path: Path, frames: int, side: int = 64) -> bytes:
    with VideoWriter(path, width=side, height=side, fps=16) as video:
        for number in range(frames):
            video.write(draw_number(number, side, side))
    return path.read_bytes()


def _segments(count: int) -> list[Json]:
    return [{"prompt": f"part {index}"} for index in range(count)]


@pytest.mark.parametrize("count", [1, 3])
def test_a_task_is_extended_through_its_latents(place: Place, count: int) -> None:
    told: dict[str, Json] = {"svi2pro": True, "num_frames": FIRST}
    first = place.enqueue(place.job(**told))
    second = place.enqueue(
        place.job(**told, extend_from=first, segments=_segments(count)), dependant_on=(first,)
    )
    assert place.work() == 0
    assert _numbers(place, second) == list(range(FIRST + 8 * count))
    result = place.result(second)
    assert (result["frames"], result["extended_frames"]) == (FIRST + 8 * count, FIRST)
    assert [s["first_frame"] for s in result["segments"]] == [FIRST + 8 * index for index in range(count)]
    assert result["segments"][0]["continuation"] == "latents"
    assert result["segments"][0]["seam"] is not None
    before, after = (read_clip(place.stored(task, "video.mp4")) for task in (first, second))
    assert np.array_equal(before, after[:FIRST])


@pytest.mark.parametrize(("continuation", "new"), [("pixels", 8), ("last_frame", 16)])
def test_a_file_is_extended(place: Place, tmp_path: Path, continuation: str, new: int) -> None:
    content = _video(tmp_path / "old.mp4", FIRST)
    video = place.store(content, ".mp4")
    job = place.job(
        start_image=None, extend_from=video, num_frames=17, continuation=continuation, segments=_segments(2)
    )
    task = place.enqueue(job)
    assert place.work() == 0
    assert _numbers(place, task) == list(range(FIRST + 2 * new))
    before, after = read_clip(tmp_path / "old.mp4"), read_clip(place.stored(task, "video.mp4"))
    assert np.array_equal(before, after[:FIRST])


def test_a_video_of_another_size_is_refused_with_the_legal_one(place: Place, tmp_path: Path) -> None:
    video = place.store(_video(tmp_path / "old.mp4", FIRST, 128), ".mp4")
    task = place.enqueue(place.job(start_image=None, extend_from=video, num_frames=17))
    assert place.work() == 0
    view = place.view(task)
    assert view.status is TaskStatus.FAILED
    assert view.error_message is not None
    assert "extend_from" in view.error_message
    assert "128" in view.error_message


def test_equal_references_are_fetched_once(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    from headless.inputs import InputFetcher

    fetched: list[str] = []
    file = InputFetcher.file

    def counted(fetcher: InputFetcher, name: str, reference: str) -> object:
        fetched.append(name)
        return file(fetcher, name, reference)

    monkeypatch.setattr(InputFetcher, "file", counted)
    picture, other = place.picture(), place.picture(seed=3)
    images: list[Json] = [picture, other, picture]
    task = place.enqueue(place.job(start_image=None, images=images, num_frames=9))
    assert place.work() == 0
    assert fetched == ["images[0]", "images[1]"]
    inputs = place.result(task)["inputs"]
    assert inputs["images[0]"] == inputs["images[2]"] != inputs["images[1]"]
