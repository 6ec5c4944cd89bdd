"""What an attempt of the real engine tells of its weights and memory, done or not."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from headless.engine.allocator import DeviceAllocator
from headless.errors import DeviceSick
from headless.job_listener import JobListener
from tests.worker.place import Place

ROLES = {"transformer", "transformer_2", "vae", "text_encoder", "tokenizer"}


def _reports(place: Place, task: str) -> list[dict[str, Any]]:
    with place.queue() as queue:
        return [dict(row.report or {}) for row in queue.attempts(task)]


def test_weights_device_and_memory_of_what_was_done_and_what_was_not(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    sizes = {"num_frames": 5, "width": 64, "height": 64, "steps": 1}
    done = place.enqueue(place.job(**sizes))
    assert place.work("--device", "cpu", engine="wan") == 0

    def sick(*_: Any) -> None:
        raise DeviceSick("the device no longer computes")

    monkeypatch.setattr(JobListener, "on_step", sick)
    given_back = place.enqueue(place.job(**sizes))
    assert place.work("--device", "cpu", engine="wan", until="--once") == 1
    (whole,), (part,) = _reports(place, done), _reports(place, given_back)
    for report in (whole, part):
        assert report["weights"].keys() == ROLES
        assert report["versions"]["device"].startswith("cpu")
        assert report["memory"]["process_peak_rss_bytes"] > 10_000_000
        assert "gpu_peak_bytes_since_load" not in report["memory"]
    assert whole["weights"] == part["weights"]
    assert whole["weights"]["transformer"] != whole["weights"]["transformer_2"]
    assert whole["memory"]["plan"] == place.result(done)["engine"]["memory"]
    assert part["memory"]["plan"] == whole["memory"]["plan"]


def test_the_memory_plan_of_an_attempt_that_failed_while_sampling(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Memory runs out at the second step; under the next plan something else goes wrong."""
    script = ["step 2"]

    def begin(_: DeviceAllocator, point: str) -> None:
        if script == [point]:
            script.clear()
            raise torch.OutOfMemoryError("scripted")

    def sick(listener: JobListener, step: int, *arguments: Any) -> None:
        if not script:
            raise DeviceSick("the device no longer computes")

    monkeypatch.setattr(DeviceAllocator, "begin", begin)
    monkeypatch.setattr(JobListener, "on_step", sick)
    task = place.enqueue(place.job(num_frames=5, width=64, height=64, steps=2))
    assert place.work("--device", "cpu", engine="wan", until="--once") == 1
    (report,) = _reports(place, task)
    assert report["memory"]["plan"] == "swap"
    assert report["memory"]["steps_down"] == [{"from": "resident", "to": "swap", "while": "step 2"}]


def test_no_memory_plan_is_told_where_nothing_was_loaded(place: Place) -> None:
    task = place.enqueue(place.job(model="i2v_2_2"))
    assert place.work("--device", "cpu", engine="wan", until="--once") == 1
    (report,) = _reports(place, task)
    assert "plan" not in report["memory"]
    assert "steps_down" not in report["memory"]
