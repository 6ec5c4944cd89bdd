"""The public functions as others call them: names, order, keyword-only, defaults."""

from __future__ import annotations

import dataclasses
import inspect
from collections.abc import Callable
from typing import Any

import pytest
import torch

from models.vae import WanVae
from tests.conditioning.pictures import random_latents
from wan2gp_patch.any2video import (
    image_to_video_conditioning,
    svi_end_frame_conditioning,
    svi_pro_conditioning,
)

REQUIRED = inspect.Parameter.empty
SURFACE: dict[Callable[..., Any], tuple[list[str], dict[str, Any]]] = {
    image_to_video_conditioning: (
        ["vae"],
        {
            "start": REQUIRED,
            "end": REQUIRED,
            "num_frames": REQUIRED,
            "height": REQUIRED,
            "width": REQUIRED,
            "end_frame_mode": "extra_latent",
            "pad_video": None,
            "known_mask": None,
            "start_latent_strength": 1.0,
            "end_latent_strength": 1.0,
            "augment_empty_frames": 0.0,
            "reference_latents": None,
            "noise_augmentation": 0.0,
            "generator": None,
        },
    ),
    svi_pro_conditioning: (
        ["anchor_latents"],
        {"num_frames": REQUIRED, "previous_latents": None, "motion_latent_count": 1},
    ),
    svi_end_frame_conditioning: (
        ["vae"],
        {
            "anchor": REQUIRED,
            "end": REQUIRED,
            "num_frames": REQUIRED,
            "prefix_video": None,
            "overlap": 4,
            "pad_empty_with_anchor": False,
            "end_frame_mode": "extra_latent",
            "previous_latents": None,
            "motion_latent_count": 1,
        },
    ),
}


@pytest.mark.parametrize("function", SURFACE, ids=lambda function: str(function.__name__))
def test_a_conditioning_function(function: Callable[..., Any]) -> None:
    positional, keywords = SURFACE[function]
    parameters = inspect.signature(function).parameters.values()
    kinds = inspect.Parameter
    assert [p.name for p in parameters if p.kind is kinds.POSITIONAL_OR_KEYWORD] == positional
    assert {p.name: p.default for p in parameters if p.kind is kinds.KEYWORD_ONLY} == keywords
    assert len(parameters) == len(positional) + len(keywords)


def test_what_they_return_is_frozen_and_complete() -> None:
    given = svi_pro_conditioning(random_latents(1, 1), num_frames=17)
    assert (given.latents.shape, given.mask.shape) == ((16, 5, 4, 6), (4, 5, 4, 6))
    assert torch.equal(given.y, torch.cat([given.mask, given.latents]))
    assert (given.end_frame_mode, given.num_frames, given.adjustments) == ("none", 17, ())
    with pytest.raises(dataclasses.FrozenInstanceError):
        given.num_frames = 5  # type: ignore[misc]  # that it cannot be set is what is tested


@pytest.mark.parametrize(
    ("method", "expected"),
    [
        ("load", {"path": REQUIRED, "dtype": torch.float32, "device": "cpu"}),
        ("encode", {"self": REQUIRED, "video": REQUIRED, "end_frame": False}),
        ("decode", {"self": REQUIRED, "latents": REQUIRED, "end_frame": False}),
        ("decode_chunks", {"self": REQUIRED, "latents": REQUIRED, "end_frame": False}),
    ],
)
def test_the_vae(method: str, expected: dict[str, Any]) -> None:
    parameters = inspect.signature(getattr(WanVae, method)).parameters
    assert {name: parameter.default for name, parameter in parameters.items()} == expected
