"""What the tests of the VAE share."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from models.vae import WanVae

TINY_VAE = Path(__file__).parents[1] / "data" / "golden" / "tiny_wan_vae.safetensors"


@pytest.fixture(scope="session")
def tiny_vae() -> WanVae:
    """A small random VAE of the real architecture, in float32. Nothing in it may be changed."""
    return WanVae.load(TINY_VAE)


@pytest.fixture(scope="session", params=[torch.float32, torch.bfloat16], ids=["float32", "bfloat16"])
def vae(request: pytest.FixtureRequest) -> WanVae:
    """The same in both precisions that models ask for. Nothing in it may be changed."""
    return WanVae.load(TINY_VAE, dtype=request.param)


@pytest.fixture
def tiled_vae() -> WanVae:
    """The same with tiles of 32 by 32 pixels that overlap by 16."""
    vae = WanVae.load(TINY_VAE)
    vae.module.enable_tiling(32, 32, 16, 16)
    return vae
