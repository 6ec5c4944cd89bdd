"""Bit for bit what diffusers' image-to-video pipeline prepares, on the same weights."""

from __future__ import annotations

from functools import partial

import pytest
import torch
from diffusers import FlowMatchEulerDiscreteScheduler, WanImageToVideoPipeline
from torch import Tensor

from models.vae import WanVae
from tests.conditioning.golden import TINY_VAE
from wan2gp_patch.any2video import image_to_video_conditioning

HEIGHT, WIDTH, FRAMES = 32, 48, 33
conditioned = partial(image_to_video_conditioning, num_frames=FRAMES, height=HEIGHT, width=WIDTH)


@pytest.fixture(scope="module", params=[torch.float32, torch.bfloat16], ids=["float32", "bfloat16"])
def vae(request: pytest.FixtureRequest) -> WanVae:
    return WanVae.load(TINY_VAE, dtype=request.param)


def prepared_by_diffusers(vae: WanVae, start: Tensor, end: Tensor | None) -> Tensor:
    pipeline = WanImageToVideoPipeline(
        tokenizer=None,
        text_encoder=None,
        vae=vae.module,
        scheduler=FlowMatchEulerDiscreteScheduler(),
        transformer=None,
    )
    with torch.no_grad():
        _, condition = pipeline.prepare_latents(
            start[None, :, 0],
            batch_size=1,
            height=HEIGHT,
            width=WIDTH,
            num_frames=FRAMES,
            dtype=torch.float32,
            device=torch.device("cpu"),
            last_image=None if end is None else end[None, :, 0],
        )
    prepared: Tensor = condition[0]
    return prepared


def picture(seed: int) -> Tensor:
    return torch.rand(3, 1, HEIGHT, WIDTH, generator=torch.Generator().manual_seed(seed)) * 2 - 1


def test_a_start_image(vae: WanVae) -> None:
    start = picture(1)
    ours = conditioned(vae, start=start, end=None)
    assert torch.equal(ours.y, prepared_by_diffusers(vae, start, None))


def test_a_start_and_a_last_image(vae: WanVae) -> None:
    start, end = picture(2), picture(3)
    ours = conditioned(vae, start=start, end=end, end_frame_mode="in_chunk")
    assert torch.equal(ours.y, prepared_by_diffusers(vae, start, end))
