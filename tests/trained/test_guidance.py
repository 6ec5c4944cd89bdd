"""The prompt says what happens; guidance, the 4-step LoRAs and both experts do their part."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from numpy.typing import NDArray

from benchmarks.trained.clips import Shot, Studio, changed_psnr, held_out, pictures
from headless.job_listener import SilentListener
from headless.quality.fidelity import psnr
from headless.segment import Clip, Picture
from tests.trained.conftest import SCENES, Told, asked, end_of, start_of, told
from tests.trained.test_end_frame import MARGINS, START
from training.world import BACKGROUNDS, DIRECTIONS, Motion, Shape

MIDDLE = replace(
    held_out(0),
    shape=Shape.DISC,
    colour="yellow",
    becomes="yellow",
    background="navy",
    motion=Motion.RIGHT,
    x=0.0,
    y=0.0,
    radius=0.17,
    way=(0.0, 0.0, 0.0, 0.0),
)
"""A yellow disc in the middle of the picture."""


@pytest.mark.parametrize("background", ["navy", "sand"])
def test_without_pictures_the_prompt_says_what_is_there(background: str, studio: Studio) -> None:
    frames = studio.shoot(studio.request(replace(MIDDLE, background=background), 5)).frames
    colour = np.median(frames, axis=(0, 1, 2))
    distance = {name: float(np.abs(colour - rgb).mean()) for name, rgb in BACKGROUNDS.items()}
    assert min(distance, key=distance.__getitem__) == background


def _centre(frame: Picture) -> NDArray[np.float64]:
    """Where the yellow is, (x, y) in pixels."""
    usual = np.median(frame, axis=(0, 1))
    rows, columns = np.nonzero(np.abs(frame - usual).max(axis=2) > 80)
    return np.array([columns.mean(), rows.mean()])


@pytest.mark.parametrize("motion", DIRECTIONS)
def test_the_prompt_says_where_a_shape_in_the_middle_goes(motion: Motion, studio: Studio) -> None:
    scene = replace(MIDDLE, motion=motion)
    start = pictures(MIDDLE, 0, 1)[0]
    frames = studio.shoot(studio.request(scene, 5, start_image=start)).frames
    moved = _centre(frames[-1]) - _centre(frames[0])
    along, across = float(moved @ DIRECTIONS[motion]), float(np.abs(moved @ DIRECTIONS[motion][::-1]))
    assert along > max(5.0, across)


def _apart(one: Clip, other: Clip) -> float:
    """Mean absolute difference in levels."""
    return float(np.abs(one.astype(np.float64) - other).mean())


def test_guidance_changes_the_clip_and_keeps_what_is_known(studio: Studio, told_end: Told) -> None:
    number = SCENES[1]
    given = told("extra_latent", number) | {"guidance_scale": 2.0, "guidance_scale_2": 2.0}
    shot = studio.shoot(asked(studio, number, **given))
    _is_as_told(number, shot, told_end)
    assert _apart(shot.frames, told_end("extra_latent", number).frames) > 1.0


@pytest.mark.parametrize("number", SCENES)
def test_four_steps_with_their_loras_are_nearer_to_many_steps(
    number: int, studio: Studio, told_end: Told
) -> None:
    """And they keep what is known."""
    pair = studio.lora_pair("wan_tiny_lightning_4steps")
    assert len(pair) == 2
    usual = told("extra_latent", number) | {"solver": "euler"}

    def shoot(**changes: object) -> Shot:
        return studio.shoot(asked(studio, number, **(usual | changes)))

    many, plain = shoot(steps=32), shoot(steps=4)
    quick = shoot(steps=4, model="wan_tiny_i2v_lightning", loras=pair)
    assert _apart(quick.frames, many.frames) < 0.9 * _apart(plain.frames, many.frames)
    if number == SCENES[1]:
        _is_as_told(number, quick, told_end)


def _is_as_told(number: int, shot: Shot, told_end: Told) -> None:
    start, end = start_of(number), end_of("extra_latent", number)
    assert psnr(shot.frames[0], start) > START
    plain = told_end("none", number)
    assert changed_psnr(shot.end, end, start) - changed_psnr(plain.end, end, start) > MARGINS["extra_latent"]


def test_both_experts_are_used(studio: Studio, told_end: Told) -> None:
    number = SCENES[1]
    request = asked(studio, number, **told("extra_latent", number))
    generation = studio.engine.generate(request, SilentListener())
    assert generation.details["expert_steps"] == {"high": 3, "low": 5}
    right = told_end("extra_latent", number).frames
    for alone, limit in ((8, 0), 1.0), ((0, 8), 0.6):
        assert _apart(right, studio.shoot(replace(request, phase_steps=alone)).frames) > limit
