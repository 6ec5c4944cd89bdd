"""What an attempt of the real engine tells of its weights and memory, done or not."""

from __future__ import annotations

from typing import Any

import pytest

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
    assert "plan" not in part["memory"], "the engine had not described itself yet"
