"""A later attempt goes on after the sampling, and makes the same video."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from headless.engine.wan import WanEngine
from headless.job_listener import SilentListener
from headless.run_task import seed_of
from headless.segment import SegmentRequest
from headless.wiring import SHIPPED_CONFIGS, SHIPPED_MODELS
from models.registry import load_models_def


def _request(sampled: Path | None, mode: str = "extra_latent") -> SegmentRequest:
    picture = np.full((64, 64, 3), 90, dtype=np.uint8)
    return SegmentRequest(
        model="wan_tiny_i2v",
        prompt="a circle",
        negative_prompt="",
        width=64,
        height=64,
        num_frames=5,
        steps=1,
        guidance_scale=1.0,
        guidance_scale_2=1.0,
        flow_shift=5.0,
        seed=3,
        end_frame_mode=mode,
        motion_latent_count=1,
        svi_pad_empty_frames_with_anchor=False,
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


def test_a_task_without_a_seed_has_the_same_one_in_every_attempt() -> None:
    assert seed_of("a") == seed_of("a") != seed_of("b")
    assert 0 <= seed_of("a") < 2**32
