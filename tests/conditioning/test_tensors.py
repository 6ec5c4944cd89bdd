"""Tensors as they come from elsewhere: with a graph behind them, or lying in memory in another order."""

from __future__ import annotations

import torch

from models.vae import WanVae
from tests.conditioning.pictures import HEIGHT, WIDTH, noise, random_latents
from wan2gp_patch.any2video import (
    image_to_video_conditioning,
    svi_end_frame_conditioning,
    svi_pro_conditioning,
)


def test_gradients_end_here(tiny_vae: WanVae) -> None:
    """Whoever optimises an image or latents elsewhere keeps no graph of the encoder alive."""
    anchor, previous = random_latents(1, 1).requires_grad_(), random_latents(5, 2).requires_grad_()
    image = noise(1, 3).requires_grad_()
    assert not svi_pro_conditioning(anchor, num_frames=17, previous_latents=previous).y.requires_grad
    to_end = svi_end_frame_conditioning(
        tiny_vae, anchor=image, end=image, num_frames=17, previous_latents=previous
    )
    assert not to_end.y.requires_grad
    to_video = image_to_video_conditioning(
        tiny_vae,
        start=image,
        end=None,
        num_frames=17,
        height=HEIGHT,
        width=WIDTH,
        reference_latents=anchor,
    )
    assert not to_video.y.requires_grad


def test_views_of_other_tensors_will_do(tiny_vae: WanVae) -> None:
    """Channels-last frames, turned and mirrored ones are read as they lie."""
    start = noise(1, 1, WIDTH, HEIGHT).transpose(2, 3)
    end = noise(1, 2).permute(1, 2, 3, 0).contiguous().permute(3, 0, 1, 2)
    assert not any(pixels.is_contiguous() for pixels in (start, end))
    views, copies = (
        image_to_video_conditioning(
            tiny_vae, start=first, end=last, num_frames=17, height=HEIGHT, width=WIDTH
        )
        for first, last in ((start, end), (start.contiguous(), end.contiguous()))
    )
    assert torch.equal(views.y, copies.y)
