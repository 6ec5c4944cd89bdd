"""A video goes on from a task or a file: what was there stays as it is, and the frames follow on."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest

from headless.adapters.numbered_frames import draw_number, read_number
from headless.media.video import VideoWriter, frame_times, read_clip
from headless.task import Json, TaskStatus
from tests.media.videos import make_video
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


LATE_LAST = [0, 62, 125, 187, 250, 312, 375, 437, 500, 562, 625, 687, 750, 812, 875, 890]
DENSE_AT_THE_END = [*range(0, 400, 40), *range(400, 600, 20), *range(600, 725, 25)]


def _uneven(path: Path, times: list[int]) -> bytes:
    """Numbered frames at times in milliseconds, the last one shown for one."""
    pictures = [draw_number(number, 64, 64) for number in range(len(times))]
    return make_video(path, pictures, times=times, time_base=Fraction(1, 1000), rate=1000).read_bytes()


@pytest.mark.parametrize("times", [LATE_LAST, DENSE_AT_THE_END], ids=["late", "dense"])
@pytest.mark.parametrize(
    "told", [{"svi2pro": True, "continuation": "pixels"}, {"continuation": "last_frame"}]
)
def test_a_variable_rate_goes_on_from_its_last_frame(
    place: Place, tmp_path: Path, times: list[int], told: dict[str, Json]
) -> None:
    video = place.store(_uneven(tmp_path / "old.mp4", times), ".mp4")
    task = place.enqueue(place.job(**told, num_frames=17, extend_from=video))
    assert place.work() == 0
    new = place.result(task)["segments"][0]["frames"]
    assert _numbers(place, task) == list(range(len(times) + new))
    shown = frame_times(place.stored(task, "video.mp4"))
    assert Fraction(1, 16) <= shown[len(times)] - shown[len(times) - 1] < Fraction(1, 8)


def test_what_was_encoded_again_goes_on_from_its_last_frame(place: Place, tmp_path: Path) -> None:
    pictures, end = (draw_number(n, 64, 64) for n in range(len(DENSE_AT_THE_END))), len(DENSE_AT_THE_END)
    path = make_video(
        tmp_path / "old.webm",
        pictures,
        container="webm",
        codec="libvpx-vp9",
        times=DENSE_AT_THE_END,
        time_base=Fraction(1, 1000),
    )
    video = place.store(path.read_bytes(), ".webm")
    told: dict[str, Json] = {"start_image": None, "continuation": "pixels"}
    task = place.enqueue(place.job(**told, num_frames=17, extend_from=video))
    assert place.work() == 0
    numbers, kept = _numbers(place, task), place.result(task)["extended_frames"]
    assert numbers[kept - 1 :] == list(range(end - 1, end + 8))
    assert numbers[:kept] == sorted(set(numbers[:kept]))
    assert [entry["used"] for entry in place.result(task)["adjustments"]] == ["encoded again"]


def test_continue_from_goes_on_from_the_last_frame_of_a_variable_rate(place: Place, tmp_path: Path) -> None:
    video = place.store(_uneven(tmp_path / "old.mp4", DENSE_AT_THE_END), ".mp4")
    task = place.enqueue(place.job(start_image=None, continue_from=video, num_frames=17))
    assert place.work() == 0
    numbers, end = _numbers(place, task), len(DENSE_AT_THE_END)
    assert numbers == list(range(end, end + len(numbers)))


@pytest.mark.parametrize("field", ["extend_from", "continue_from"])
@pytest.mark.parametrize(
    ("svi2pro", "used", "more"), [(True, "the anchor alone", 4), (False, "its last frame", 8)]
)
def test_a_video_shorter_than_what_is_handed_over_is_reported(
    place: Place, tmp_path: Path, field: str, svi2pro: bool, used: str, more: int
) -> None:
    told: dict[str, Json] = {} if svi2pro else {"start_image": None}
    if field == "extend_from":
        told["continuation"] = "pixels"
    video = place.store(_video(tmp_path / "old.mp4", 3), ".mp4")
    job = place.job(svi2pro=svi2pro, num_frames=17, **told, **{field: video})
    task, strict = place.enqueue(job), place.enqueue(job | {"strict": True})
    assert place.work() == 0
    (entry,) = place.result(task)["adjustments"]
    assert entry == {
        "field": field,
        "requested": "its last 9 frames",
        "used": used,
        "why": f"at 16 frames per second it shows 3; {more} frames of the clip that would have repeated it "
        "are new",
    }
    assert place.result(task)["segments"][0]["head_frames_cut"] == 1
    view = place.view(strict)
    assert view.status is TaskStatus.FAILED
    assert f"strict allows no adjustment. {field} is" in (view.error_message or "")


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
