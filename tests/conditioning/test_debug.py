"""The `[SVI_DEBUG]` lines: what they name, and that they cost nothing when off."""

from __future__ import annotations

import logging
from functools import partial

import pytest
import torch
from torch import Tensor
from torch.profiler import ProfilerActivity, profile

from models.vae import WanVae
from tests.conditioning.pictures import HEIGHT, WIDTH, noise, random_latents
from wan2gp_patch.any2video import (
    image_to_video_conditioning,
    svi_end_frame_conditioning,
    svi_pro_conditioning,
)

conditioned = partial(image_to_video_conditioning, num_frames=18, height=HEIGHT, width=WIDTH)


def test_they_name_what_went_in_and_what_came_out(tiny_vae: WanVae, caplog: pytest.LogCaptureFixture) -> None:
    start = noise(1, 1)
    with caplog.at_level(logging.DEBUG, logger="svi"):
        conditioned(tiny_vae, start=start, end=noise(1, 2), known_mask=torch.ones(18, HEIGHT, WIDTH))
    lines = [record.getMessage() for record in caplog.records]
    assert all(line.startswith("[SVI_DEBUG] ") for line in lines)
    assert lines[0] == "[SVI_DEBUG] path=image_to_video F=17 H=32 W=48 end_frame_mode=extra_latent"
    assert lines[1] == "[SVI_DEBUG] frames start=1 empty=16 end=1"
    low, high = f"{start.min():.4f}", f"{start.max():.4f}"
    assert f"[SVI_DEBUG] start=[3, 1, 32, 48] torch.float32 {low}..{high} on cpu" in lines
    assert "[SVI_DEBUG] pad_video=none" in lines
    assert any(line.startswith("[SVI_DEBUG] latents=[16, 6, 4, 6]") for line in lines)
    assert "[SVI_DEBUG] mask=[4, 6, 4, 6] torch.float32 1.0000..1.0000 on cpu" in lines
    assert "[SVI_DEBUG] latents expected=6 got=6" in lines
    assert "[SVI_DEBUG] known_mask=[18, 32, 48] torch.float32 1.0000..1.0000 on cpu" in lines
    assert "[SVI_DEBUG] reference_latents=none" in lines
    assert "[SVI_DEBUG] mask known=24 of 24 sub-frames" in lines
    assert any("adjusted" in line and "num_frames" in line for line in lines)


def test_the_other_paths_have_them_too(tiny_vae: WanVae, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.DEBUG, logger="svi"):
        svi_pro_conditioning(random_latents(1, 1), num_frames=17, previous_latents=random_latents(5, 2))
        svi_end_frame_conditioning(
            tiny_vae, anchor=noise(1, 1), end=noise(1, 2), num_frames=17, prefix_video=noise(9, 3)
        )
    lines = [record.getMessage() for record in caplog.records]
    assert "[SVI_DEBUG] path=svi_pro F=17 H=32 W=48 end_frame_mode=none" in lines
    assert "[SVI_DEBUG] frames start=1 empty=16 end=0" in lines
    assert any(line.startswith("[SVI_DEBUG] motion_latents=[16, 1, 4, 6]") for line in lines)
    assert "[SVI_DEBUG] path=svi_end_frame F=17 H=32 W=48 end_frame_mode=extra_latent" in lines
    assert "[SVI_DEBUG] frames start=9 empty=8 end=1" in lines
    assert "[SVI_DEBUG] latents expected=6 got=6" in lines
    assert "[SVI_DEBUG] mask known=16 of 24 sub-frames" in lines


def test_an_empty_tensor_has_a_line_too(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.DEBUG, logger="svi"):
        svi_pro_conditioning(random_latents(1, 1), num_frames=17)
    assert "[SVI_DEBUG] motion_latents=[16, 0, 4, 6] torch.float32 on cpu" in caplog.messages


def test_nothing_is_computed_for_them_when_they_are_off(caplog: pytest.LogCaptureFixture) -> None:
    anchor = random_latents(1, 1)
    with caplog.at_level(logging.INFO, logger="svi"):
        quiet = operations(anchor)
    assert not caplog.records
    with caplog.at_level(logging.DEBUG, logger="svi"):
        loud = operations(anchor)
    only_for_the_lines = {"aten::min", "aten::max", "aten::mean"}
    assert not only_for_the_lines & quiet
    assert only_for_the_lines <= loud


def operations(anchor: Tensor) -> set[str]:
    """Names of the tensor operations of one conditioning."""
    with profile(activities=[ProfilerActivity.CPU]) as recorded:
        svi_pro_conditioning(anchor, num_frames=17)
    return {event.key for event in recorded.key_averages()}
