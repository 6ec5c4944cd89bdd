"""Latents that are found again are those of this very clip, made in this very way."""

from __future__ import annotations

from pathlib import Path

import pytest

from headless.engine.wan import WanEngine
from headless.errors import BadInput
from tests.engine.conftest import Heard, request


def test_latents_of_another_clip_are_not_gone_on_from(engine: WanEngine, tmp_path: Path) -> None:
    """Another segment's file of the same shape, where this one's should lie."""
    made = engine.generate(request(seed=1), Heard())
    assert made.save_sampled is not None
    made.save_sampled(tmp_path / "sampled")
    with pytest.raises(BadInput, match="the latents of another clip; delete that file"):
        engine.generate(request(seed=2, sampled_latents=tmp_path / "sampled"), Heard())


def test_versions_name_kernel_and_precision_of_what_is_loaded(engine: WanEngine) -> None:
    engine.load("wan_tiny_i2v", Heard())
    versions = engine.versions()
    assert (versions["attention"], versions["dtype"], versions["compiled"]) == ("native", "float32", "false")
