"""What a clip of a chain leaves to the next one: its latents less the tail, or its last frame."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch

from headless.adapters.fake_engine import FakeEngine
from headless.adapters.numbered_frames import draw_number, read_number
from headless.engine.handoff import load_latents
from headless.engine.wan import WanEngine
from headless.segment import Generation, SegmentRequest
from models.registry import Registry, load_models_def
from tests.engine.conftest import ROOT, Heard, picture, request
from tests.tools.constructed import CONSTRUCTED
from tests.worker.fake_clock import FakeClock
from wan2gp_patch.frames import END_FRAME_MODES

MODES = ("none", *END_FRAME_MODES)


@pytest.fixture(scope="module")
def models() -> Registry:
    return load_models_def(ROOT / "configs")


@pytest.fixture(scope="module")
def wan(models: Registry) -> WanEngine:
    """One engine for all clips; it keeps nothing of them."""
    return WanEngine(models, [CONSTRUCTED], device="cpu")


def _asked(mode: str, **changes: object) -> SegmentRequest:
    ends = {} if mode == "none" else {"end_image": picture(colour=(0, 0, 250)), "end_frame_mode": mode}
    return request(num_frames=17, steps=1, **ends, **changes)


def _handed_on(generation: Generation, path: Path) -> torch.Tensor:
    assert generation.save_handoff is not None
    generation.save_handoff(path)
    return load_latents(path, height=64, width=64)


@pytest.mark.parametrize("mode", MODES)
def test_the_tail_is_not_handed_on(wan: WanEngine, tmp_path: Path, mode: str) -> None:
    wan.load("wan_tiny_i2v", Heard())
    whole = _handed_on(wan.generate(_asked(mode), Heard()), tmp_path / "whole")
    cut = wan.generate(_asked(mode, end_tail_latents=2), Heard())
    assert torch.equal(_handed_on(cut, tmp_path / "cut"), whole[:, :3])
    assert len(list(cut.frames)) == cut.num_frames == 17


@pytest.mark.parametrize("svi", [False, True])
@pytest.mark.parametrize("mode", MODES)
def test_a_clip_that_repeats_the_last_frame_knows_it(
    wan: WanEngine, models: Registry, svi: bool, mode: str
) -> None:
    model = "wan_tiny_i2v_svi2pro" if svi else "wan_tiny_i2v"
    fake = FakeEngine(models, FakeClock())
    asked = _asked(mode, model=model, start_is_last_frame=True, start_image=draw_number(40, 64, 64))
    fake.load(model, Heard())
    told, faked = wan.generate(asked, Heard()), fake.generate(asked, Heard())
    assert told.new_frames == faked.new_frames == 16
    assert [read_number(frame) for frame in faked.frames] == list(range(40, 57))


def test_the_same_start_image_gives_the_same_frames(wan: WanEngine) -> None:
    wan.load("wan_tiny_i2v", Heard())
    plain, marked = (
        np.stack(list(wan.generate(_asked("none", start_is_last_frame=last), Heard()).frames))
        for last in (False, True)
    )
    assert np.array_equal(plain, marked)


def test_the_fake_engine_hands_on_the_number_before_its_tail(models: Registry, tmp_path: Path) -> None:
    fake = FakeEngine(models, FakeClock())
    fake.load("wan_tiny_i2v", Heard())
    generation = fake.generate(_asked("none", end_tail_latents=2), Heard())
    assert generation.save_handoff is not None
    generation.save_handoff(tmp_path / "latents")
    assert json.loads((tmp_path / "latents").read_text())["last_number"] == 8
