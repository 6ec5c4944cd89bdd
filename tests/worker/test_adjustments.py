"""What the worker changes of a request is reported, or refused under `strict`."""

from __future__ import annotations

import pytest

from headless.task import Json
from tests.worker.mp4 import read_mp4
from tests.worker.place import Place


def _adjusted(place: Place, task: str) -> dict[str, tuple[object, object]]:
    return {e["field"]: (e["requested"], e["used"]) for e in place.result(task)["adjustments"]}


def test_82_frames_become_81(place: Place) -> None:
    task = place.enqueue(place.job(num_frames=82))
    assert place.work() == 0
    assert _adjusted(place, task) == {"num_frames": (82, 81)}
    (entry,) = place.result(task)["adjustments"]
    assert "4k+1" in entry["why"]
    assert place.result(task)["frames"] == 81
    assert read_mp4(place.stored(task, "video.mp4")).frames == 81


def test_a_side_becomes_a_multiple_of_16(place: Place) -> None:
    task = place.enqueue(place.job(width=79, height=95))
    assert place.work() == 0
    adjusted = _adjusted(place, task)
    assert adjusted["width"] == (79, 64)
    assert adjusted["height"] == (95, 80)
    video = read_mp4(place.stored(task, "video.mp4"))
    assert (video.width, video.height) == (64, 80)


@pytest.mark.parametrize("fit", ["crop", "pad"])
def test_a_picture_of_another_shape_is_fitted_and_told(place: Place, fit: str) -> None:
    task = place.enqueue(place.job(start_image=place.picture(128, 64), image_fit=fit))
    assert place.work() == 0
    assert "start_image" in _adjusted(place, task)
    (entry,) = place.result(task)["adjustments"]
    assert entry["requested"] == "128x64"
    assert fit in entry["why"]


def test_what_has_no_effect_is_told(place: Place) -> None:
    task = place.enqueue(place.job(end_frame_mode="slot", motion_latent_count=2))
    assert place.work() == 0
    assert {"end_frame_mode", "motion_latent_count"} <= set(_adjusted(place, task))


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"num_frames": 82}, ["num_frames is 82", "would become 81", "4k+1"]),
        ({"width": 79}, ["width is 79", "would become 64", "multiple of 16"]),
        ({"end_frame_mode": "slot"}, ["end_frame_mode", "no end_image"]),
    ],
)
def test_strict_refuses_a_change(place: Place, changes: dict[str, Json], says: list[str]) -> None:
    task = place.enqueue(place.job(strict=True, **changes))
    fine = place.enqueue(place.job(strict=True))
    assert place.work() == 0
    view = place.view(task)
    assert (view.status.value, view.error_class) == ("Failed", "BAD_PARAMS")
    for words in says:
        assert words in (view.error_message or "")
    assert place.result(fine)["adjustments"] == []


def test_strict_refuses_a_picture_of_another_shape(place: Place) -> None:
    task = place.enqueue(place.job(start_image=place.picture(128, 64), strict=True))
    assert place.work() == 0
    message = place.view(task).error_message or ""
    assert "start_image" in message
    assert "strict" in message
