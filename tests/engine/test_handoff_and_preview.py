"""Latents on disk, and latents as a small picture."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from headless.engine.handoff import load_latents, save_latents
from headless.engine.preview import LatentPreview, to_uint8
from headless.errors import BadInput
from models.errors import WeightsError
from tests.tools.constructed import TINY


def test_what_is_saved_is_loaded(tmp_path: Path) -> None:
    latents = torch.randn(16, 3, 4, 6)
    save_latents(tmp_path / "x.safetensors", latents, {"model": "m", "seed": "1"})
    assert torch.equal(load_latents(tmp_path / "x.safetensors", height=32, width=48), latents)


def test_latents_of_another_size_are_refused(tmp_path: Path) -> None:
    save_latents(tmp_path / "x.safetensors", torch.randn(16, 3, 4, 6), {})
    with pytest.raises(BadInput, match="of a 48x32 clip, and this one is 64x32"):
        load_latents(tmp_path / "x.safetensors", height=32, width=64)


def test_numbers_that_are_not_finite_are_refused(tmp_path: Path) -> None:
    save_latents(tmp_path / "x.safetensors", torch.full((16, 1, 2, 2), torch.nan), {})
    with pytest.raises(BadInput, match="not finite"):
        load_latents(tmp_path / "x.safetensors", height=16, width=16)


@pytest.mark.parametrize("shape", [(16, 2, 2), (4, 1, 2, 2)])
def test_other_tensors_are_refused(tmp_path: Path, shape: tuple[int, ...]) -> None:
    save_latents(tmp_path / "x.safetensors", torch.zeros(shape), {})
    with pytest.raises(BadInput, match="not a hand-off file"):
        load_latents(tmp_path / "x.safetensors", height=16, width=16)


def test_other_files_are_refused(tmp_path: Path) -> None:
    (tmp_path / "text").write_text("hello")
    save_file({"latents": torch.zeros(16, 1, 2, 2)}, tmp_path / "unnamed")
    save_file({"weights": torch.zeros(1)}, tmp_path / "weights")
    for name, says in (
        ("text", "cannot|no latents"),
        ("unnamed", "hand-off"),
        ("weights", "no latents"),
        ("none", "no latents"),
    ):
        with pytest.raises(BadInput, match=says):
            load_latents(tmp_path / name, height=16, width=16)


def test_pixels_become_bytes() -> None:
    values = torch.tensor([-2.0, -1.0, 0.0, 1.0, 2.0])
    assert to_uint8(values).tolist() == [0, 0, 128, 255, 255]


def test_the_tiny_models_factors_lie_beside_its_vae() -> None:
    preview = LatentPreview.beside(TINY / "vae")
    white = torch.zeros(16, 3, 2, 2)
    white[:12] = 1.5
    picture = preview.picture(white)
    assert picture.shape == (2, 2, 3)
    assert np.all(picture == 255)


def test_any_other_vae_takes_the_published_factors(tmp_path: Path) -> None:
    (tmp_path / "vae.safetensors").touch()
    grey = LatentPreview.beside(tmp_path / "vae.safetensors").picture(torch.zeros(16, 1, 1, 1))
    assert grey.ravel().tolist() == [104, 116, 85]


def test_broken_factors_are_named(tmp_path: Path) -> None:
    (tmp_path / "latent_rgb.json").write_text(json.dumps({"factors": [[1]]}))
    with pytest.raises(WeightsError, match="must hold factors"):
        LatentPreview.beside(tmp_path)
