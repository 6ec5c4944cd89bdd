"""A continuation takes up where the clip before ended, in every way of continuing."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

import headless.engine.conditioning as told_to_the_model
from benchmarks.trained.clips import FRAMES, Chain, Studio, held_out
from headless.quality.fidelity import psnr
from tests.trained.conftest import SCENES
from tests.trained.test_end_frame import unknown_start
from wan2gp_patch.conditioning import Conditioning

TAKEN_UP = 18.0
"""PSNR of the first new frame against the last one before it."""
METHODS = [("latents", 12), ("pixels", 8), ("last_frame", 16)]
CONDITIONING = {
    "latents": "svi_pro_conditioning",
    "pixels": "image_to_video_conditioning",
    "last_frame": "image_to_video_conditioning",
}


def _first_new_frame(
    studio: Studio, number: int, method: str, new: int, folder: Path, spoil: Callable[[], None]
) -> float:
    """How like the last frame of the first clip the first new frame of the second one is, in dB."""
    chain = Chain(studio, held_out(number), number, method, folder)
    assert chain.go_on() == FRAMES
    spoil()
    assert chain.go_on() == new
    return psnr(chain.frames[FRAMES], chain.frames[FRAMES - 1])


@pytest.mark.parametrize(("method", "new"), METHODS)
def test_a_clip_takes_up_where_the_one_before_ended(
    method: str, new: int, studio: Studio, tmp_path: Path
) -> None:
    for number in SCENES[:2]:
        assert _first_new_frame(studio, number, method, new, tmp_path, lambda: None) > TAKEN_UP


@pytest.mark.parametrize(("method", "new"), METHODS)
def test_it_is_seen_where_what_came_before_is_not_told(
    method: str, new: int, studio: Studio, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    name = CONDITIONING[method]
    right = getattr(told_to_the_model, name)

    def wrong(*args: object, **fields: object) -> Conditioning:
        return unknown_start(right(*args, **fields))

    likeness = _first_new_frame(
        studio, SCENES[0], method, new, tmp_path, lambda: monkeypatch.setattr(told_to_the_model, name, wrong)
    )
    assert likeness < TAKEN_UP
