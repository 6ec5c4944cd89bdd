"""Clips of the trained tiny model, each made once for all tests of this folder."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache

import pytest
import torch

from benchmarks.trained.clips import FRAMES, Shot, Studio, held_out, pictures
from headless.segment import Clip, Picture

SCENES = (0, 2, 4)
"""Held-out scenes of which the clips are made."""
Shooter = Callable[..., Shot]


@pytest.fixture(scope="session")
def studio() -> Studio:
    torch.set_num_threads(1)
    return Studio()


@pytest.fixture(scope="session")
def told_end(studio: Studio) -> Callable[[str, int], Shot]:
    """`(mode, scene)` -> a clip from its start image, in mode `none`, or to its end image."""

    @cache
    def shoot(mode: str, number: int) -> Shot:
        scene = held_out(number)
        request = studio.request(scene, 7, start_image=start_of(number))
        if mode == "none":
            return studio.shoot(request)
        return studio.shoot(studio.request(scene, 7, start_image=start_of(number), **told(mode, number)))

    return shoot


def truth(number: int) -> Clip:
    """The true clip of a scene, and the frame after it."""
    return pictures(held_out(number), 0, FRAMES + 1)


def start_of(number: int) -> Picture:
    first: Picture = truth(number)[0]
    return first


def end_of(mode: str, number: int) -> Picture:
    """The end image: of `extra_latent` the frame after the clip, else its last one."""
    last: Picture = truth(number)[FRAMES if mode == "extra_latent" else FRAMES - 1]
    return last


def told(mode: str, number: int) -> dict[str, object]:
    """Fields of a request that name the end image."""
    return {"end_image": end_of(mode, number), "end_frame_mode": mode}
