"""Clips of the trained tiny model, each made once for all tests of this folder."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache

import pytest
import torch

import headless.engine.conditioning as told_to_the_model
from benchmarks.trained.clips import FRAMES, Shot, Studio, held_out, pictures
from headless.segment import Clip, Picture, SegmentRequest
from wan2gp_patch.conditioning import Conditioning

SCENES = (0, 2, 4)
"""Held-out scenes of which the clips are made."""
Told = Callable[[str, int], Shot]
Spoil = Callable[[Conditioning], Conditioning]


@pytest.fixture(scope="session")
def studio() -> Studio:
    torch.set_num_threads(1)
    return Studio()


@pytest.fixture(scope="session")
def told_end(studio: Studio) -> Told:
    """`(mode, scene)` -> a clip from its start image, in mode `none`, or to its end image."""

    @cache
    def shoot(mode: str, number: int) -> Shot:
        return studio.shoot(asked(studio, number, **({} if mode == "none" else told(mode, number))))

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


def asked(studio: Studio, number: int, **changes: object) -> SegmentRequest:
    """A clip of a scene from its start image, always with the same noise."""
    return studio.request(held_out(number), 7, start_image=start_of(number), **changes)


def tell_wrongly(patch: pytest.MonkeyPatch, name: str, spoil: Spoil) -> None:
    """Spoil what the function `name` of the conditioning returns to the engine."""
    right = getattr(told_to_the_model, name)
    patch.setattr(told_to_the_model, name, lambda *args, **fields: spoil(right(*args, **fields)))
