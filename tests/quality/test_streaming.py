"""Frames are measured as they go by: none is kept, and their maker does not wait."""

from __future__ import annotations

import threading
import weakref
from collections.abc import Iterator

import pytest

from headless.adapters.fake_engine import FakeEngine
from headless.quality.clip_meter import ClipMeter
from headless.quality.thresholds import Thresholds
from headless.segment import Generation, Picture
from tests.quality.test_worker import _job
from tests.tools.quality_clips import picture, scene
from tests.worker.place import Place


def test_a_meter_keeps_no_frame(limits: Thresholds) -> None:
    meter, alive = ClipMeter(limits, head=3), list[weakref.ref[Picture]]()
    for index in range(20):
        frame = picture(scene(2.0 * index))
        alive.append(weakref.ref(frame))
        meter.offer(frame)
        del frame
        assert all(reference() is None for reference in alive)
    assert meter.scores().motion > 0


def test_frames_are_made_while_earlier_ones_are_still_measured(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The meter stands still until nine frames are there, which a maker that waits for it never makes."""
    all_made, generate, offer = threading.Event(), FakeEngine.generate, ClipMeter.offer

    def watched(frames: Iterator[Picture]) -> Iterator[Picture]:
        yield from frames
        all_made.set()

    def generating(*arguments: object) -> Generation:
        generation = generate(*arguments)  # type: ignore[arg-type]  # handed on as it came
        generation.frames = watched(generation.frames)
        return generation

    def measuring(meter: ClipMeter, frame: Picture) -> None:
        assert all_made.wait(120)
        offer(meter, frame)

    monkeypatch.setattr(FakeEngine, "generate", generating)
    monkeypatch.setattr(ClipMeter, "offer", measuring)
    task = place.enqueue(_job(place, ""))
    assert place.work() == 0
    assert place.result(task)["scores"]["motion"] > 0
