"""What the tests of the conditioning share."""

from __future__ import annotations

import pytest

from models.vae import WanVae
from tests.conditioning.golden import TINY_VAE


@pytest.fixture(scope="session")
def tiny_vae() -> WanVae:
    """A small random VAE of the real architecture. Nothing in it may be changed."""
    return WanVae.load(TINY_VAE)
