"""What a frontend sees of a running task in its row, and the previews."""

from __future__ import annotations

from dataclasses import dataclass

import pytest
from PIL import Image

from headless.task import TaskView
from tests.worker.place import Place
from tests.worker.test_cancel_and_loss import Watched

STEPS = 45


@dataclass(frozen=True)
class Seen:
    """Every different look of a task's row, from its claim to its end."""

    place: Place
    task: str
    views: list[TaskView]

    @property
    def progress(self) -> list[dict[str, object]]:
        return [dict(view.progress) for view in self.views if view.progress]


@pytest.fixture(scope="module")
def seen(tmp_path_factory: pytest.TempPathFactory) -> Seen:
    """A task of some four and a half seconds, watched as a frontend watches it."""
    place = Place(tmp_path_factory.mktemp("progress") / "place")
    task = place.enqueue(place.job(steps=STEPS))
    views: list[TaskView] = []

    def look(view: TaskView) -> bool:
        if not views or views[-1] != view:
            views.append(view)
        return view.phase == "uploading" or view.status.final

    worker = Watched(place)
    worker.until(task, look)
    assert worker.ended() == 0
    views.append(place.view(task))
    return Seen(place, task, views)


def test_phases_come_in_their_order(seen: Seen) -> None:
    order = ["claimed", "fetching", "loading", "encoding", "denoising", "decoding", "checking", "uploading"]
    phases = [view.phase for view in seen.views if view.phase is not None]
    found = sorted(set(phases), key=phases.index)
    assert found == [phase for phase in order if phase in found]
    assert {"denoising"} <= set(found)


def test_percent_rises(seen: Seen) -> None:
    percents = [progress["percent"] for progress in seen.progress]
    assert percents == sorted(percents, key=float)  # type: ignore[arg-type]  # numbers
    assert len(set(percents)) >= 10


def test_steps_are_counted(seen: Seen) -> None:
    steps = {p["step"]: p["steps"] for p in seen.progress if p["phase"] == "denoising" and p["step"]}
    assert set(steps.values()) == {STEPS}
    assert len(steps) >= 10
    told = {p["step"]: p["percent"] for p in seen.progress if p["phase"] == "denoising" and p["step"]}
    for step, percent in told.items():
        assert percent == pytest.approx(10 + 75 * int(str(step)) / STEPS, abs=0.1)


def test_previews_are_small_webps_and_few(seen: Seen) -> None:
    previews = sorted(seen.place.stored(seen.task, "").glob("preview-*.webp"))
    denoised = seen.place.result(seen.task)["timings"]["denoising"]
    assert 2 <= len(previews) <= denoised / 2 + 1
    for path in previews:
        with Image.open(path) as picture:
            assert picture.format == "WEBP"
            assert max(picture.size) <= 512


def test_the_row_names_a_preview_while_the_task_runs(seen: Seen) -> None:
    running = [view.preview_location for view in seen.views if view.status.value == "In Progress"]
    shown = {location for location in running if location}
    assert shown
    for location in shown:
        assert location.startswith(f"outputs/local/{seen.task}/1/preview-")
        assert (seen.place.local / "files" / location).is_file()


def test_a_task_in_progress_names_its_worker(seen: Seen) -> None:
    assert {view.worker_id for view in seen.views if view.status.value == "In Progress"} == {
        seen.views[-1].worker_id
    }
