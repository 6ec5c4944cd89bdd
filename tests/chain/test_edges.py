"""Segments that fail their checks, latents of another device in our place, videos without latents."""

from __future__ import annotations

from pathlib import Path

import pytest
from structlog.testing import capture_logs

from headless.adapters.local_storage import LocalStorage
from headless.adapters.numbered_frames import read_number
from headless.checkpoints import Checkpoints
from headless.keys import segment_key
from headless.media.video import read_clip
from headless.planning.seeds import retry_seed, segment_seed
from headless.task import Claim, Json, TaskStatus
from tests.worker.fake_clock import FakeClock
from tests.worker.place import Place
from tests.worker.signalling_queue import SignallingQueue

pytestmark = pytest.mark.usefixtures("without_sheets")
SECOND = segment_seed(7, 1)
DIGEST = "ab" * 32


def _chain(place: Place, *prompts: str, **changes: Json) -> str:
    segments: list[Json] = [{"prompt": prompt} for prompt in prompts]
    told: dict[str, Json] = {"svi2pro": True, "num_frames": 9, "output_checks": True}
    return place.enqueue(place.job(**told | changes, segments=segments))


def test_a_segment_that_fails_is_made_once_more_with_another_seed(place: Place) -> None:
    task = _chain(place, "a", f"b [fault black at seed {SECOND}]", "c")
    assert place.work() == 0
    result = place.result(task)
    second = result["segments"][1]
    assert second["seed"] == retry_seed(SECOND)
    assert second["checks"]["refused"]["seed"] == SECOND
    assert [entry["field"] for entry in second["adjustments"]] == ["seed"]
    assert second["adjustments"][0] in result["adjustments"]
    assert [segment["seed"] for segment in result["segments"][::2]] == [7, segment_seed(7, 2)]
    numbers = [read_number(frame) for frame in read_clip(place.stored(task, "video.mp4"))]
    assert numbers == list(range(17))


def test_a_segment_that_fails_twice_ends_the_task(place: Place) -> None:
    task = _chain(place, "a", "b [fault black]", "c")
    assert place.work() == 0
    view = place.view(task)
    assert (view.status, view.error_class) == (TaskStatus.FAILED, "BAD_OUTPUT")


def test_a_segment_is_not_made_once_more_under_strict(place: Place) -> None:
    task = _chain(place, "a", f"b [fault black at seed {SECOND}]", strict=True)
    assert place.work() == 0
    assert "strict allows no second try" in str(place.view(task).error_message)


def test_another_seed_that_fails_is_told_and_has_no_file(place: Place) -> None:
    task = _chain(place, "a", "b [fault black at seed 11]", reroll={"1": [11, 12]})
    assert place.work() == 0
    result = place.result(task)
    failed, fine = result["segments"][1]["alternatives"]
    assert (failed["seed"], "files" in failed) == (11, False)
    assert failed["failed"][0]["check"] == "black"
    assert fine["files"]["video"]["key"].endswith("/alternative-1-12.mp4")
    assert "alternative-1-11" not in result["files"]


def test_latents_of_another_device_stay_where_they_are(tmp_path: Path) -> None:
    queue, storage = SignallingQueue(FakeClock()), LocalStorage(tmp_path / "files")
    claim: Claim = queue.claimed()
    (tmp_path / "theirs").write_bytes(b"theirs")
    key = segment_key(claim.owner, DIGEST)
    storage.put(key, tmp_path / "theirs", "application/octet-stream")

    def save(path: Path) -> None:
        path.write_bytes(b"ours")

    with capture_logs() as lines, Checkpoints(queue, storage, claim, tmp_path) as checkpoints:
        checkpoints.record(0, DIGEST, save, shared=True)
        checkpoints.settle(30)
        found = checkpoints.find(None, DIGEST, shared=True)
        assert found is not None
        assert found.read_bytes() == b"theirs"
        assert checkpoints.find(None, "cd" * 32, shared=True) is None
    queue.close()
    (own,) = (tmp_path / "files" / claim.output_prefix).iterdir()
    assert own.read_bytes() == b"ours"
    assert [line["event"] for line in lines] == ["resuming after the sampling"]


def test_a_video_without_latents_cannot_be_extended_through_them(place: Place) -> None:
    first = place.enqueue(place.job(svi2pro=True, num_frames=9))
    assert place.work() == 0
    with place.queue() as queue, queue.file.transaction() as db:
        db.execute("UPDATE tasks SET result = json_remove(result, '$.files.latents')")
    told: dict[str, Json] = {"svi2pro": True, "num_frames": 9, "extend_from": first}
    through_latents = place.enqueue(place.job(**told))
    through_pixels = place.enqueue(place.job(**told | {"num_frames": 17}, continuation="pixels"))
    assert place.work() == 0
    assert "left no latents to go on from" in str(place.view(through_latents).error_message)
    numbers = [read_number(frame) for frame in read_clip(place.stored(through_pixels, "video.mp4"))]
    assert numbers == list(range(len(numbers)))
    assert len(numbers) > 9
