"""Conditioning hands its runs of equal frames over as runs: no path pays for the frames between."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch

from models.vae import WanVae
from tests.conditioning.pictures import noise
from tests.vae.measures import flops
from wan2gp_patch.any2video import image_to_video_conditioning, svi_end_frame_conditioning
from wan2gp_patch.conditioning import Conditioning
from wan2gp_patch.frames import END_FRAME_MODES

SIDE = 16
START, END, PAD = (noise(1, seed, SIDE, SIDE) for seed in (1, 2, 3))
PREFIX = noise(9, 4, SIDE, SIDE)
Conditioned = Callable[[WanVae], Conditioning]


@pytest.fixture(scope="module")
def plain_flops(tiny_vae: WanVae) -> int:
    """The work of diffusers' own encode of 81 frames."""
    moving = noise(81, 99, SIDE, SIDE)[None]
    return flops(lambda: tiny_vae.module.encode(moving))


def images(
    mode: str = "extra_latent",
    *,
    start: torch.Tensor | None = START,
    end: torch.Tensor | None = None,
    pad_video: torch.Tensor | None = None,
) -> Conditioned:
    return lambda vae: image_to_video_conditioning(
        vae,
        start=start,
        end=end,
        pad_video=pad_video,
        num_frames=81,
        height=SIDE,
        width=SIDE,
        end_frame_mode=mode,
    )


def svi(mode: str, prefix: torch.Tensor | None = None, pad: bool = False) -> Conditioned:
    return lambda vae: svi_end_frame_conditioning(
        vae,
        anchor=START,
        end=END,
        num_frames=81,
        prefix_video=prefix,
        pad_empty_with_anchor=pad,
        end_frame_mode=mode,
    )


CASES: dict[str, tuple[Conditioned, float]] = {
    "nothing": (images(start=None), 0.35),
    "start": (images(), 0.35),
    "start, padded with another image": (images(pad_video=PAD), 0.35),
    **{f"start and end, {mode}": (images(mode, end=END), 0.42) for mode in END_FRAME_MODES},
    **{f"svi, {mode}": (svi(mode), 0.42) for mode in END_FRAME_MODES},
    "svi padded with the anchor": (svi("extra_latent", pad=True), 0.42),
    "svi from a prefix": (svi("extra_latent", PREFIX), 0.5),
    "svi from a prefix, padded": (svi("in_chunk", PREFIX, pad=True), 0.5),
}


@pytest.mark.parametrize("case", CASES)
def test_the_share_of_the_work(case: str, tiny_vae: WanVae, plain_flops: int) -> None:
    conditioned, share = CASES[case]
    assert flops(lambda: conditioned(tiny_vae)) <= share * plain_flops
