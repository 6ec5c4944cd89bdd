"""The constructed model of the tests is what its script makes, and it is a model that shows something."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch

from headless.engine.wan import WanEngine
from scripts.make_tiny_model import CONSTRUCTED, make
from tests.engine.conftest import Heard, frames_of, picture, request


def test_the_script_makes_its_files_byte_for_byte(tmp_path: Path) -> None:
    make(tmp_path)
    shipped = sorted(path.relative_to(CONSTRUCTED) for path in CONSTRUCTED.rglob("*") if path.is_file())
    assert sorted(path.relative_to(tmp_path) for path in tmp_path.rglob("*") if path.is_file()) == shipped
    for path in shipped:
        assert (tmp_path / path).read_bytes() == (CONSTRUCTED / path).read_bytes(), path


def test_it_is_small() -> None:
    assert sum(path.stat().st_size for path in CONSTRUCTED.rglob("*") if path.is_file()) < 8_000_000


def test_a_clip_leads_from_the_start_image_to_the_end_image(engine: WanEngine) -> None:
    start, end = picture(), picture(colour=(0, 255, 0))[:, ::-1]
    generation = engine.generate(request(start_image=start, end_image=end), Heard())
    frames = frames_of(generation).astype(np.float32)
    assert np.abs(frames[0] - start).mean() < 30 < np.abs(frames[0] - end).mean()
    last = generation.end_frame()
    assert last is not None
    assert np.abs(last.astype(np.float32) - end).mean() < 30 < np.abs(last.astype(np.float32) - start).mean()


def test_frames_change_over_time(engine: WanEngine) -> None:
    frames = frames_of(engine.generate(request(), Heard())).astype(np.float32)
    assert np.abs(np.diff(frames, axis=0)).mean(axis=(1, 2, 3)).min() > 0.1


def test_the_prompt_reaches_the_picture(engine: WanEngine) -> None:
    one, other = (frames_of(engine.generate(request(prompt=p), Heard())) for p in ("a cat", "a dark sea"))
    assert not np.array_equal(one, other)


def test_weights_are_finite() -> None:
    from safetensors.torch import load_file

    for path in CONSTRUCTED.rglob("*.safetensors"):
        for name, tensor in load_file(path).items():
            assert torch.isfinite(tensor).all(), f"{path} {name}"
