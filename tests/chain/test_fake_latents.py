"""What stands in for latents is decided when the clip is made, and by all that it is made from."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np

from headless.adapters.fake_engine import FakeEngine
from headless.job_listener import SilentListener
from headless.segment import Generation, SegmentRequest
from headless.wiring import SHIPPED_CONFIGS
from models.registry import load_models_def
from tests.tools.small_requests import small_request
from tests.worker.fake_clock import FakeClock


def _made(request: SegmentRequest) -> Generation:
    return FakeEngine(load_models_def(SHIPPED_CONFIGS), FakeClock()).generate(request, SilentListener())


def _saved(made: Generation, path: Path) -> bytes:
    assert made.save_sampled is not None
    made.save_sampled(path)
    return path.read_bytes()


def test_latents_are_saved_also_when_those_before_are_gone(tmp_path: Path) -> None:
    first = small_request()
    before = tmp_path / "before"
    before.write_bytes(_saved(_made(first), tmp_path / "first"))
    second = _made(replace(first, previous_latents=before))
    before.unlink()
    assert _saved(second, tmp_path / "second") != (tmp_path / "first").read_bytes()


def test_another_picture_makes_other_latents(tmp_path: Path) -> None:
    black, white = (np.full((64, 64, 3), level, np.uint8) for level in (0, 255))
    told = [
        _saved(_made(replace(small_request(), anchor_image=one)), tmp_path / "x") for one in (black, white)
    ]
    assert told[0] != told[1]
