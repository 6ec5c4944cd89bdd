"""Wrong input is refused with the input's name, its value and the legal values."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch

from models.vae import WanVae
from tests.conditioning.pictures import noise, random_latents
from wan2gp_patch.any2video import (
    image_to_video_conditioning,
    svi_end_frame_conditioning,
    svi_pro_conditioning,
)
from wan2gp_patch.conditioning import Conditioning
from wan2gp_patch.errors import ConditioningError
from wan2gp_patch.frames import EndFrameMode


def nan_pixel() -> torch.Tensor:
    pixels = noise(1, 1)
    pixels[0, 0, 3, 4] = float("nan")
    return pixels


def one_infinite_latent() -> torch.Tensor:
    latents = random_latents(5, 2)
    latents[0, 0, 0, 0] = float("inf")
    return latents


IMAGE_TO_VIDEO: dict[str, tuple[dict[str, Any], str]] = {
    "height": ({"height": 40}, r"height is 40; legal values are multiples of 16, the nearest 32 and 48"),
    "width": ({"width": 50}, r"width is 50; legal .* 48 and 64"),
    "no height": ({"height": 0}, r"height is 0; legal .* 16 and 32"),
    "float height": ({"height": 32.0}, r"height is 32.0; legal are whole numbers"),
    "frames": ({"num_frames": 0}, r"num_frames is 0; legal lengths are 1, 5, 9, 13"),
    "float frames": ({"num_frames": 17.0}, r"num_frames is 17.0; legal are whole numbers"),
    "text frames": ({"num_frames": "17"}, r"num_frames is '17'; legal are whole numbers"),
    "no frame count": ({"num_frames": None}, r"num_frames is None; legal are whole numbers"),
    "mode": ({"end_frame_mode": "last"}, r"'last'; legal .* in_chunk, extra_latent, slot, repeat_4"),
    "nan": ({"start": nan_pixel()}, r"start holds values from nan to nan; legal are numbers in \[-1, 1\]"),
    "range": ({"end": noise(1, 1) * 255}, r"end holds values from -2\d\d.* to 2\d\d.*; legal .*\[-1, 1\]"),
    "just outside": ({"start": torch.full((3, 1, 32, 48), 1.0000001)}, r"to 1.00000012; legal"),
    "array": ({"start": np.zeros((3, 1, 32, 48), np.float32)}, r"start is a ndarray; legal is a tensor"),
    "half": ({"start": noise(1, 1).half()}, r"start is torch.float16; legal is torch.float32"),
    "bytes": ({"start": torch.zeros(3, 1, 32, 48, dtype=torch.uint8)}, r"start is torch.uint8; .*float32"),
    "batch": ({"start": noise(1, 1)[None]}, r"start is \[1, 3, 1, 32, 48\]; legal is \[3, T, H, W\]"),
    "no frames": ({"start": noise(1, 1)[:, :0]}, r"start is \[3, 0, 32, 48\]; .*at least one frame"),
    "channels last": ({"start": torch.zeros(1, 32, 48, 3)}, r"start is \[1, 32, 48, 3\]"),
    "pad range": ({"pad_video": noise(2, 1) * 2}, r"pad_video holds values"),
    "too many": (
        {"start": noise(17, 1), "end_frame_mode": "in_chunk"},
        r"17 start .* 1 end .* up to 17, .*21, 25, 29",
    ),
    "too many for the extra latent": ({"start": noise(18, 1)}, r"18 start .* up to 18, .*are 21, 25, 29"),
    "many ends": (
        {"end": noise(2, 1), "end_frame_mode": "repeat_4"},
        r"end has 2 frames; legal is 1",
    ),
    "slot start": (
        {"start": noise(2, 1), "end_frame_mode": "slot"},
        r"start has 2 .*legal are 1, 5, 9",
    ),
    "slot pad": ({"pad_video": noise(1, 1), "end_frame_mode": "slot"}, r"pad_video .* legal are in_chunk"),
    "slot full": (
        {"num_frames": 5, "end_frame_mode": "slot"},
        r"2 of the 2 latents .* at least 9: .*9, 13, 17",
    ),
    "strength": (
        {"start_latent_strength": float("inf")},
        r"start_latent_strength is inf; legal .*from 0 to 10",
    ),
    "strong": ({"start_latent_strength": 1e39}, r"start_latent_strength is 1e\+39; legal .*from 0 to 10"),
    "end strength": ({"end_latent_strength": float("nan")}, r"end_latent_strength is nan; legal .*0 to 10"),
    "negative strength": ({"end_latent_strength": -1}, r"end_latent_strength is -1; legal .*0 to 10"),
    "text strength": ({"end_latent_strength": "1"}, r"end_latent_strength is '1'; legal are numbers"),
    "augment": ({"augment_empty_frames": -0.1}, r"augment_empty_frames is -0.1; legal .*from 0 to 10"),
    "noise": ({"noise_augmentation": 10.5}, r"noise_augmentation is 10.5; legal .*from 0 to 10"),
    "unseeded": ({"noise_augmentation": 0.1}, r"noise_augmentation is 0.1 without a generator"),
    "mask array": ({"known_mask": np.zeros((17, 32, 48))}, r"known_mask is a ndarray; legal is a tensor"),
    "mask shape": ({"known_mask": torch.zeros(17, 1, 32, 48)}, r"known_mask is \[17, 1, 32, 48\]"),
    "mask range": ({"known_mask": torch.full((17, 32, 48), 255.0)}, r"known_mask holds values from 255"),
    "mask nan": ({"known_mask": torch.full((17, 32, 48), float("nan"))}, r"known_mask holds values from nan"),
    "references": (
        {"reference_latents": random_latents(1, 1, 8, 8)},
        r"reference_latents are .*4, 6\]",
    ),
}
SVI_PRO: dict[str, tuple[dict[str, Any], str]] = {
    "batch": (
        {"anchor_latents": random_latents(1, 1)[None]},
        r"anchor_latents are \[1, 16, 1, 4, 6\]",
    ),
    "channels": ({"anchor_latents": torch.zeros(48, 1, 4, 6)}, r"legal is \[16, t, h, w\]"),
    "nan": ({"anchor_latents": torch.full((16, 1, 4, 6), float("nan"))}, r"384 of 384 values .* not finite"),
    "nan before": ({"previous_latents": one_infinite_latent()}, r"previous_latents hold 1 of 1920 values"),
    "whole": (
        {"anchor_latents": torch.zeros(16, 1, 4, 6, dtype=torch.int64)},
        r"anchor_latents are torch.int64; legal are floating-point",
    ),
    "nothing": ({"anchor_latents": None}, r"anchor_latents are a NoneType; legal is a tensor"),
    "odd": (
        {"anchor_latents": random_latents(1, 1, 3, 6), "previous_latents": None},
        r"anchor_latents are \[16, 1, 3, 6\]; legal are even h and w",
    ),
    "size": (
        {"previous_latents": random_latents(5, 2, 6, 4)},
        r"previous_latents .*legal is \[16, t, 4, 6\]",
    ),
    "count": ({"motion_latent_count": -1}, r"motion_latent_count is -1; legal values are 0, 1, 2"),
    "float count": ({"motion_latent_count": 1.5}, r"motion_latent_count is 1.5; legal are whole numbers"),
    "full": ({"motion_latent_count": 4}, r"5 of the 5 latents of 17 frames .*at least 21: .*21, 25, 29"),
    "frames": ({"num_frames": -4}, r"num_frames is -4"),
}
SVI_END: dict[str, tuple[dict[str, Any], str]] = {
    "overlap": ({"overlap": 3}, r"overlap is 3; legal values are 0, 4, 8"),
    "float overlap": ({"overlap": 4.0}, r"overlap is 4.0; legal are whole numbers"),
    "unused count": ({"motion_latent_count": -5}, r"motion_latent_count is -5; legal values are 0, 1"),
    "no end": ({"end": None}, r"end is missing; legal is an image .* svi_pro_conditioning"),
    "sizes": ({"end": noise(1, 1, 32, 32)}, r"differ in size: anchor 48x32, end 32x32"),
    "odd size": ({"anchor": noise(1, 1, 20, 48), "end": noise(1, 1, 20, 48)}, r"height is 20"),
    "two sources": (
        {"prefix_video": noise(9, 1), "previous_latents": random_latents(5, 1)},
        r"prefix_video and previous_latents are both given",
    ),
    "latents in chunk": (
        {"previous_latents": random_latents(5, 1), "end_frame_mode": "in_chunk"},
        r"in_chunk with previous_latents.*legal are slot and extra_latent",
    ),
    "latents in repeat": (
        {"previous_latents": random_latents(5, 1), "end_frame_mode": "repeat_4"},
        r"repeat_4 with previous_latents",
    ),
    "no anchor": ({"anchor": None}, r"anchor is missing.*start of the clip"),
    "no anchor for latents": (
        {"anchor": None, "previous_latents": random_latents(5, 1)},
        r"anchor is missing.*first latent",
    ),
    "no anchor to pad": (
        {"anchor": None, "prefix_video": noise(9, 1), "pad_empty_with_anchor": True},
        r"anchor is missing.*empty frames",
    ),
    "two ends": ({"end": noise(2, 1)}, r"end has 2 frames; legal is 1"),
    "two anchors": ({"anchor": noise(2, 1)}, r"anchor has 2 frames; legal is 1"),
    "prefix range": ({"prefix_video": noise(9, 1) + 1}, r"prefix_video holds values"),
    "prefix fills": ({"prefix_video": noise(20, 1), "overlap": 12}, r"17 frames adds nothing.*21, 25, 29"),
}


@pytest.mark.parametrize("case", IMAGE_TO_VIDEO)
def test_image_to_video(case: str, tiny_vae: WanVae) -> None:
    change, message = IMAGE_TO_VIDEO[case]
    right = {"start": noise(1, 1), "end": noise(1, 2), "num_frames": 17, "height": 32, "width": 48}
    refuses(image_to_video_conditioning, (tiny_vae,), right | change, message)


@pytest.mark.parametrize("case", SVI_PRO)
def test_svi_pro(case: str) -> None:
    change, message = SVI_PRO[case]
    previous = random_latents(5, 2)
    right = {"anchor_latents": random_latents(1, 1), "previous_latents": previous, "num_frames": 17}
    refuses(svi_pro_conditioning, (), right | change, message)


@pytest.mark.parametrize("case", SVI_END)
def test_svi_end_frame(case: str, tiny_vae: WanVae) -> None:
    change, message = SVI_END[case]
    right = {"anchor": noise(1, 1), "end": noise(1, 2), "num_frames": 17}
    refuses(svi_end_frame_conditioning, (tiny_vae,), right | change, message)


def test_a_vae_that_knows_no_end_frame_is_noticed() -> None:
    with pytest.raises(ConditioningError, match="5 latent frames where 6 are expected"):
        Conditioning(torch.zeros(16, 5, 4, 6), torch.zeros(4, 6, 4, 6), EndFrameMode.EXTRA_LATENT, 17)


def refuses(
    function: Callable[..., Conditioning], first: tuple[Any, ...], arguments: dict[str, Any], message: str
) -> None:
    with pytest.raises(ConditioningError, match=message):
        function(*first, **arguments)
