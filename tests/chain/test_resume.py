"""A chain that was interrupted, or changed, or asked for again: what is finished is not sampled again."""

from __future__ import annotations

import threading
from pathlib import Path

import numpy as np
import pytest

from headless.adapters.local_storage import LocalStorage
from headless.adapters.numbered_frames import read_number
from headless.job_listener import JobListener
from headless.media.video import read_clip
from headless.ports import StoredObject
from headless.segment import Clip
from headless.task import Json
from tests.worker.mp4 import read_mp4
from tests.worker.place import Place

WAN = ("--device", "cpu")
pytestmark = pytest.mark.usefixtures("without_sheets")


def frames_of(place: Place, task: str, attempt: int = 1) -> Clip:
    """The published frames."""
    return read_clip(place.stored(task, "video.mp4", attempt))


def reused(place: Place, task: str) -> list[bool]:
    """Which segments were found finished."""
    return [segment["reused"] for segment in place.result(task)["segments"]]


def chain(place: Place, *prompts: str, **changes: Json) -> str:
    """Queue a chain through latents with one segment per prompt."""
    told: dict[str, Json] = {"svi2pro": True, "num_frames": 9, "steps": 2}
    segments: list[Json] = [{"prompt": prompt} for prompt in prompts]
    return place.enqueue(place.job(**told | changes, segments=segments))


def due(place: Place) -> None:
    """Nobody waits before the next attempt."""
    with place.queue() as queue, queue.file.transaction() as db:
        db.execute("UPDATE tasks SET run_after = 1")


def test_a_resumed_chain_has_the_same_bytes(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    calm = chain(place, "one", "two", "three")
    assert place.work(*WAN, engine="wan") == 0
    assert reused(place, calm) == [False] * 3
    monkeypatch.setattr("headless.checkpoints.segment_key", lambda owner, digest: f"elsewhere/{digest}")
    begin, left = JobListener.begin_segment, [2]

    def begun(listener: JobListener, index: int, *where: float) -> None:
        if index in left:
            left.remove(index)
            raise RuntimeError("a bug")
        begin(listener, index, *where)  # type: ignore[arg-type]  # as given

    monkeypatch.setattr(JobListener, "begin_segment", begun)
    task = chain(place, "one", "two", "three")
    with place.queue() as queue:
        place.work(*WAN, engine="wan", until="--once")
        assert [row.outcome for row in queue.attempts(task)] == ["retried"]
    due(place)
    assert place.work(*WAN, engine="wan") == 0
    assert reused(place, task) == [True, True, False]
    whole, resumed = (place.stored(calm, "video.mp4"), place.stored(task, "video.mp4", 2))
    assert read_mp4(whole).coded_sha256 == read_mp4(resumed).coded_sha256
    latents = [place.stored(calm, "latents.safetensors"), place.stored(task, "latents.safetensors", 2)]
    assert latents[0].read_bytes() == latents[1].read_bytes()


def test_a_chain_is_what_single_tasks_would_be(place: Place) -> None:
    """Each clip is given the latents of the one before, bit for bit, as another task would be."""
    prompts = ("one", "two", "three")
    whole = chain(place, *prompts)
    assert place.work(*WAN, engine="wan") == 0
    segments = place.result(whole)["segments"]
    clips: list[Clip] = []
    before: dict[str, Json] = {}
    for prompt, segment in zip(prompts, segments, strict=True):
        told = {"svi2pro": True, "num_frames": 9, "steps": 2, "seed": segment["seed"], "prompt": prompt}
        task = place.enqueue(place.job(**told, **before))
        assert place.work(*WAN, engine="wan") == 0
        assert place.result(task)["frames"] == segment["frames"]
        clips.append(frames_of(place, task))
        before = {"continue_from": task}
    assert np.array_equal(frames_of(place, whole), np.concatenate(clips))
    latents = [place.stored(one, "latents.safetensors").read_bytes() for one in (whole, task)]
    assert latents[0] == latents[1]


def test_changing_one_segment_keeps_those_before_it(place: Place) -> None:
    first = chain(place, *"abcdef")
    changed = chain(place, *"abcXef")
    again = chain(place, *"abcdef")
    assert place.work() == 0
    assert reused(place, first) == [False] * 6
    assert reused(place, changed) == [True] * 3 + [False] * 3
    assert reused(place, again) == [True] * 6
    assert np.array_equal(frames_of(place, first), frames_of(place, again))
    assert np.array_equal(frames_of(place, first)[:19], frames_of(place, changed)[:19])


def test_other_tails_make_other_segments_after_them(place: Place) -> None:
    first = chain(place, *"abc")
    other = chain(place, *"abc", end_tail_latents=1)
    assert place.work() == 0
    assert reused(place, other) == [False] * 3
    assert [segment["tail_frames_cut"] for segment in place.result(other)["segments"]] == [4] * 3
    assert [segment["frames"] for segment in place.result(first)["segments"]] == [9, 4, 4]


@pytest.mark.parametrize("continuation", ["pixels", "last_frame"])
def test_frames_are_handed_on_by_what_they_show(place: Place, continuation: str) -> None:
    first = chain(place, *"abc", continuation=continuation, num_frames=17, svi2pro=False)
    again = chain(place, *"abc", continuation=continuation, num_frames=17, svi2pro=False)
    assert place.work() == 0
    assert reused(place, first) == [False] * 3
    assert reused(place, again) == [True] * 3


def test_other_seeds_lie_beside_the_chain_and_one_is_picked_later(place: Place) -> None:
    first = chain(place, *"abc", reroll={"1": [11, 12]})
    assert place.work() == 0
    result = place.result(first)
    assert [len(segment["alternatives"]) for segment in result["segments"]] == [0, 2, 0]
    for told, seed in zip(result["segments"][1]["alternatives"], (11, 12), strict=True):
        assert told["seed"] == seed
        file = told["files"]["video"]
        assert file == result["files"][f"alternative-1-{seed}"]
        path = place.local / "files" / file["key"]
        assert [read_number(frame) for frame in read_clip(path)] == list(range(9, 13))
        assert (place.outputs / f"{first}.alternative-1-{seed}.mp4").exists()
    told = {"svi2pro": True, "num_frames": 9, "steps": 2}
    segments: list[Json] = [{"prompt": "a"}, {"prompt": "b", "seed": 12}, {"prompt": "c"}]
    picked = place.enqueue(place.job(**told, segments=segments))
    assert place.work() == 0
    assert reused(place, picked) == [True, True, False]
    assert place.result(picked)["segments"][1]["seed"] == 12
    assert np.array_equal(frames_of(place, picked)[9:13], read_clip(path))


def test_the_engine_does_not_wait_while_storage_is_asked(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whether the next segment is there is found out while the one before is decoded."""
    asked: list[str] = []
    fetch = LocalStorage.fetch

    def fetched(storage: LocalStorage, key: str, path: Path, limit: int) -> StoredObject:
        if key.startswith("segments/"):
            asked.append(threading.current_thread().name.partition("_")[0])
        return fetch(storage, key, path, limit)

    monkeypatch.setattr(LocalStorage, "fetch", fetched)
    first, again = (chain(place, *"abc") for _ in range(2))
    assert place.work() == 0
    assert asked == ["MainThread", "look-ahead", "look-ahead"] * 2
    assert reused(place, first) == [False] * 3
    assert reused(place, again) == [True] * 3
