"""The same bits on an accelerator, at a real size. Run with `pytest -m gpu` on a machine that has one."""

from __future__ import annotations

import pytest
import torch
from diffusers import AutoencoderKLWan

from models.vae import WanVae
from tests.vae.measures import encoded_by_diffusers, grey, noise


@pytest.mark.gpu
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16], ids=["float32", "bfloat16"])
@pytest.mark.parametrize(("height", "width"), [(480, 832), (96, 160)])
def test_the_encode_that_skips_gives_the_same_bits(dtype: torch.dtype, height: int, width: int) -> None:
    vae = WanVae(AutoencoderKLWan().to("cuda", dtype).eval().requires_grad_(False))
    start, end = (noise(1, seed, height, width).cuda() for seed in (1, 2))
    prefix, empty = noise(9, 3, height, width).cuda(), grey(1, height, width).cuda()
    for parts in (
        [start, empty.expand(-1, 80, -1, -1)],
        [start, empty.expand(-1, 79, -1, -1), end],
        [start, start.expand(-1, 79, -1, -1), end],
        [prefix, empty.expand(-1, 71, -1, -1), end],
    ):
        expected = encoded_by_diffusers(vae, torch.cat(parts, dim=1))
        assert torch.equal(vae.encode(parts), expected)
