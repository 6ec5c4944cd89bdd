"""Every golden case: tensors of other tools, reproduced to 1e-5."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from models.vae import WanVae
from tests.conditioning.golden import GoldenCase, cases
from wan2gp_patch.any2video import (
    image_to_video_conditioning,
    svi_end_frame_conditioning,
    svi_pro_conditioning,
)
from wan2gp_patch.conditioning import Conditioning

TOLERANCE = 1e-5


@pytest.mark.parametrize("case", cases("image_to_video_encode"), ids=str)
def test_image_to_video(case: GoldenCase, tiny_vae: WanVae) -> None:
    settings = case.settings
    given = image_to_video_conditioning(
        tiny_vae,
        start=case.pixels("start_image"),
        end=case.pixels("end_image"),
        num_frames=settings["num_frames"],
        height=settings["height"],
        width=settings["width"],
        end_frame_mode="in_chunk" if settings["fun_or_fl2v_model"] else "extra_latent",
        pad_video=case.pixels("empty_frame_pad_image"),
        known_mask=case.optional("temporal_mask"),
        start_latent_strength=settings.get("start_latent_strength", 1.0),
        end_latent_strength=settings.get("end_latent_strength", 1.0),
        augment_empty_frames=settings.get("augment_empty_frames", 0.0),
        reference_latents=case.latents("extra_latents"),
    )
    _agree(given, case)
    assert given.num_frames == case.out["num_frames"]
    assert given.sequence_length == case.out["max_seq_len"]
    assert (given.end_frame_mode == "in_chunk") == (
        case.out["fun_or_fl2v_model"] and "end_image" in case.inputs
    )
    assert (given.reference_latents > 0) == case.out["has_ref"]


@pytest.mark.parametrize("case", cases("svi_pro_embeds"), ids=str)
def test_svi_pro(case: GoldenCase) -> None:
    anchor = case.latents("anchor_samples")
    assert anchor is not None
    given = svi_pro_conditioning(
        anchor,
        num_frames=case.settings["num_frames"],
        previous_latents=case.latents("prev_samples"),
        motion_latent_count=case.settings["motion_latent_count"],
    )
    _agree(given, case)
    assert given.num_frames == case.out["num_frames"]


@pytest.mark.parametrize("case", cases("svi_end_frame"), ids=str)
def test_svi_end_frame(case: GoldenCase, tiny_vae: WanVae) -> None:
    given = svi_end_frame_conditioning(
        tiny_vae,
        anchor=case.tensor("anchor"),
        end=case.tensor("end"),
        num_frames=case.settings["num_frames"],
        prefix_video=case.optional("prefix_video"),
        overlap=4,
        pad_empty_with_anchor=case.settings.get("pad_anchor", False),
        end_frame_mode=case.settings.get("mode", "extra_latent"),
    )
    _agree(given, case)


@pytest.mark.parametrize("case", [*cases("vae_plain"), *cases("vae_end_frame")], ids=str)
def test_vae(case: GoldenCase, tiny_vae: WanVae) -> None:
    end_frame = case.settings["kind"] == "vae_end_frame"
    latents = tiny_vae.encode(case.tensor("video"), end_frame)
    _close(latents, case.tensor("latents"))
    _close(tiny_vae.decode(case.tensor("latents"), end_frame), case.tensor("decoded"))


def test_every_case_is_tested() -> None:
    tested = ("image_to_video_encode", "svi_pro_embeds", "svi_end_frame", "vae_plain", "vae_end_frame")
    assert sum(len(cases(kind)) for kind in tested) == len(cases()) == 31


def _agree(given: Conditioning, case: GoldenCase) -> None:
    _close(given.latents, case.tensor("image_embeds"))
    assert torch.equal(given.mask, case.tensor("mask"))
    assert torch.equal(given.y, torch.cat([given.mask, given.latents]))


def _close(given: Tensor, expected: Tensor) -> None:
    torch.testing.assert_close(given, expected, rtol=0.0, atol=TOLERANCE)
