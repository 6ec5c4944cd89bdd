"""A later attempt goes on after the sampling, and makes the same video."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from headless.engine.wan import WanEngine
from headless.fingerprint import fingerprint
from headless.job_listener import SilentListener
from headless.run_task import seed_of
from headless.segment import LoraUse, SegmentRequest
from headless.segment_digest import MadeWith, segment_digest
from headless.task import Capability
from headless.wiring import SHIPPED_CONFIGS, SHIPPED_MODELS
from models.registry import load_models_def
from tests.tools.small_requests import small_request
from tests.worker.place import Place


def _request(sampled: Path | None, mode: str = "extra_latent") -> SegmentRequest:
    picture = np.full((64, 64, 3), 90, dtype=np.uint8)
    return small_request(
        prompt="a circle",
        num_frames=5,
        seed=3,
        end_frame_mode=mode,
        start_image=picture,
        end_image=255 - picture,
        sampled_latents=sampled,
    )


@pytest.mark.parametrize("mode", ["extra_latent", "in_chunk"])
def test_the_engine_decodes_a_checkpoint_to_the_same_frames(tmp_path: Path, mode: str) -> None:
    engine = WanEngine(load_models_def(SHIPPED_CONFIGS), [SHIPPED_MODELS], device="cpu")
    engine.load("wan_tiny_i2v", SilentListener())
    whole = engine.generate(_request(None, mode), SilentListener())
    assert whole.save_sampled is not None
    whole.save_sampled(tmp_path / "sampled.safetensors")
    frames = list(whole.frames)
    resumed = engine.generate(_request(tmp_path / "sampled.safetensors", mode), SilentListener())
    again = list(resumed.frames)
    assert resumed.details["resumed"] is True
    assert len(again) == len(frames) == 5
    assert all(np.array_equal(a, b) for a, b in zip(frames, again, strict=True))
    end, end_again = whole.end_frame(), resumed.end_frame()
    assert (end is None) == (end_again is None) == (mode == "in_chunk")
    if end is not None and end_again is not None:
        assert np.array_equal(end, end_again)


@pytest.mark.parametrize("damaged", [b"", b"these are no latents"])
def test_a_damaged_checkpoint_costs_time_and_not_the_task(
    place: Place, monkeypatch: pytest.MonkeyPatch, damaged: bytes
) -> None:
    monkeypatch.setattr("headless.clip_run.segment_digest", lambda *_: "the same inputs")
    task = place.enqueue(place.job())
    (place.scratch / "latents").write_bytes(damaged)
    with place.queue() as queue:
        claim = queue.claim("w", "claim", Capability())
        assert claim is not None
        key = f"{claim.output_prefix}/checkpoint-0.safetensors"
        place.storage.put(key, place.scratch / "latents", "application/octet-stream")
        queue.checkpoint(task, claim.attempt, 0, "the same inputs", key)
        queue.release(task, claim.attempt, "killed")
    assert place.work(engine="wan") == 0
    assert "resumed" not in place.result(task)["engine"]
    with place.queue() as queue, queue.file.snapshot() as db:
        (left,) = db.execute("SELECT object_key FROM task_segments").fetchone()
    assert left.startswith(f"outputs/local/{task}/2/")


def test_a_lora_of_the_same_size_is_another_input(tmp_path: Path) -> None:
    """A LoRA that was trained again has the size of the one before."""
    path = tmp_path / "style.safetensors"
    request = replace(_request(None), loras=(LoraUse("style", path, ((1.0,),)),))
    seen = set()
    for content in (b"first", b"other", b"first"):
        path.write_bytes(content)
        seen.add(segment_digest(request, MadeWith({}, {}, {}, {path: fingerprint(path)}, {})))
    assert len(seen) == 2


def test_a_task_without_a_seed_has_the_same_one_in_every_attempt() -> None:
    assert seed_of("a") == seed_of("a") != seed_of("b")
    assert 0 <= seed_of("a") < 2**32
