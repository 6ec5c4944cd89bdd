"""Which path a request takes, how many frames are new, and what is reported."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from headless.engine.conditioning import Conditioned, condition, pixels, without_images
from headless.engine.handoff import save_latents
from headless.engine.wan import WanEngine
from headless.errors import BadInput, BadParams
from headless.segment import SegmentRequest
from headless.task import Phase
from models.vae import WanVae
from tests.engine.conftest import Heard, frames_of, picture, request
from tests.tools.constructed import TINY
from wan2gp_patch.frames import Continuation, EndFrameMode

SVI: Mapping[str, Any] = {"svi2pro": True}
PLAIN: Mapping[str, Any] = {}


@pytest.fixture(scope="module")
def vae() -> WanVae:
    return WanVae.load(TINY / "vae")


def video(frames: int) -> np.ndarray[Any, np.dtype[np.uint8]]:
    return np.stack([picture(colour=(20 * i % 255, 200, 10)) for i in range(frames)])


def conditioned(vae: WanVae, model_def: Mapping[str, Any], asked: SegmentRequest) -> Conditioned:
    return condition(asked, model_def, vae, torch.Generator().manual_seed(0))


def known(result: Conditioned) -> list[int]:
    """Known sub-frames of each latent frame."""
    assert result.conditioning is not None
    counts: list[int] = result.conditioning.mask.mean(dim=(2, 3)).sum(dim=0).int().tolist()
    return counts


def test_pixels_are_what_diffusers_makes_of_a_picture() -> None:
    from diffusers.video_processor import VideoProcessor
    from PIL import Image

    image = picture()
    theirs = VideoProcessor(vae_scale_factor=8).preprocess(Image.fromarray(image), height=64, width=64)
    assert torch.equal(pixels(image[None])[:, 0], theirs[0])


def test_a_start_image(vae: WanVae) -> None:
    result = conditioned(vae, PLAIN, request())
    assert known(result) == [4, 0, 0]
    assert (result.end_frame_mode, result.continuation) == (EndFrameMode.NONE, Continuation.nothing())


@pytest.mark.parametrize(
    ("mode", "groups"),
    [("in_chunk", [4, 0, 1]), ("extra_latent", [4, 0, 0, 4]), ("slot", [4, 0, 1]), ("repeat_4", [4, 0, 4])],
)
def test_a_start_and_an_end_image(vae: WanVae, mode: str, groups: list[int]) -> None:
    assert known(conditioned(vae, PLAIN, request(end_image=picture(), end_frame_mode=mode))) == groups


def test_an_end_image_alone_falls_back_and_says_so(vae: WanVae) -> None:
    result = conditioned(vae, PLAIN, request(start_image=None, end_image=picture()))
    assert result.end_frame_mode is EndFrameMode.IN_CHUNK
    assert [adjustment.field for adjustment in result.adjustments] == ["end_frame_mode"]


def test_no_image_at_all(vae: WanVae) -> None:
    assert known(conditioned(vae, PLAIN, request(start_image=None))) == [0, 0, 0]


def test_a_video_before_is_known_for_five_and_the_overlap(vae: WanVae) -> None:
    result = conditioned(vae, PLAIN, request(prefix=video(20), num_frames=17))
    assert known(result) == [4, 4, 4, 0, 0]
    assert result.continuation == Continuation.pixels(4)


def test_a_short_video_before_is_continued_from_its_last_frame(vae: WanVae) -> None:
    result = conditioned(vae, PLAIN, request(prefix=video(8), num_frames=17))
    assert known(result) == [4, 0, 0, 0, 0]
    assert result.continuation == Continuation.last_frame()
    assert [(a.field, a.requested, a.used) for a in result.adjustments] == [("overlap", 4, 0)]


def test_svi_first_clip(vae: WanVae) -> None:
    result = conditioned(vae, SVI, request())
    assert known(result) == [4, 0, 0]
    assert result.conditioning is not None
    assert torch.equal(result.conditioning.latents[:, :1], vae.encode(pixels(picture()[None])))
    assert not result.conditioning.latents[:, 1:].any()
    assert result.continuation == Continuation.nothing()


def test_svi_continues_latents(vae: WanVae, tmp_path: Path) -> None:
    latents = torch.randn(16, 3, 8, 8)
    save_latents(tmp_path / "before", latents, {})
    result = conditioned(vae, SVI, request(previous_latents=tmp_path / "before", num_frames=17))
    assert result.conditioning is not None
    assert torch.equal(result.conditioning.latents[:, 1], latents[:, -1])
    assert known(result) == [4, 0, 0, 0, 0]
    assert result.continuation == Continuation.latents(1)


def test_svi_continues_a_video(vae: WanVae) -> None:
    before = video(20)
    result = conditioned(vae, SVI, request(prefix=before, overlap=8, num_frames=17))
    assert result.conditioning is not None
    motion = vae.encode(pixels(before[-13:]))[:, -2:]
    assert torch.equal(result.conditioning.latents[:, 1:3], motion)
    assert not result.conditioning.latents[:, 3:].any()
    assert result.continuation == Continuation.latents(2)


def test_svi_with_a_short_video_begins_anew_and_says_so(vae: WanVae) -> None:
    result = conditioned(vae, SVI, request(prefix=video(8), num_frames=17))
    assert result.continuation == Continuation.latents(0)
    assert [(a.field, a.requested, a.used) for a in result.adjustments] == [("motion_latent_count", 1, 0)]


@pytest.mark.parametrize("frames", [3, 5, 20])
def test_svi_without_motion_latents_as_asked_says_nothing(vae: WanVae, frames: int) -> None:
    """Overlap 0 asks for none, so a video of any length has enough."""
    result = conditioned(vae, SVI, request(prefix=video(frames), overlap=0, num_frames=17))
    assert result.continuation == Continuation.latents(0)
    assert result.adjustments == ()
    assert result.conditioning is not None
    assert not result.conditioning.latents[:, 1:].any()


def test_svi_takes_the_anchor_before_the_start_image(vae: WanVae) -> None:
    anchor = picture(colour=(0, 0, 0))
    result = conditioned(vae, SVI, request(anchor_image=anchor))
    assert result.conditioning is not None
    assert torch.equal(result.conditioning.latents[:, :1], vae.encode(pixels(anchor[None])))


@pytest.mark.parametrize("mode", ["in_chunk", "extra_latent", "slot", "repeat_4"])
def test_svi_towards_an_end_image(vae: WanVae, mode: str) -> None:
    result = conditioned(vae, SVI, request(end_image=picture(), end_frame_mode=mode))
    assert result.end_frame_mode == mode
    assert known(result)[0] == 4


def test_svi_from_a_video_towards_an_end_image(vae: WanVae) -> None:
    result = conditioned(vae, SVI, request(end_image=picture(), prefix=video(20), num_frames=17))
    assert known(result) == [4, 4, 4, 0, 0, 4]
    assert result.continuation == Continuation.pixels(4)


def test_what_is_reported_has_the_names_of_the_task(vae: WanVae) -> None:
    """Nobody who sent a task knows what the conditioning calls its inputs."""
    to_end = request(end_image=picture(), num_frames=17)
    reported = {
        "start_image": replace(to_end, prefix=video(20)),
        "anchor_image": replace(to_end, prefix=video(20), anchor_image=picture()),
        "continue_from": replace(to_end, prefix=video(8)),
        "svi_pad_empty_frames_with_anchor": replace(
            to_end, end_frame_mode="slot", svi_pad_empty_frames_with_anchor=True
        ),
    }
    for field, asked in reported.items():
        assert [entry.field for entry in conditioned(vae, SVI, asked).adjustments] == [field]


def test_strict_refuses_a_change_before_anything_is_sampled(engine: WanEngine) -> None:
    """Minutes of a GPU are not spent on a clip that is refused afterwards."""
    heard = Heard()
    short = request(model="wan_tiny_i2v_svi2pro", prefix=video(8), num_frames=17, strict=True)
    with pytest.raises(BadParams, match=r"motion_latent_count is 1 and would become 0: .*8 frames and 9 are"):
        engine.generate(short, heard)
    assert (heard.steps, Phase.DENOISING in heard.phases) == ([], False)
    assert engine.generate(replace(short, prefix=video(9)), heard).adjustments == ()


def test_svi_from_latents_towards_an_end_image(vae: WanVae, tmp_path: Path) -> None:
    save_latents(tmp_path / "before", torch.randn(16, 3, 8, 8), {})
    asked = request(end_image=picture(), previous_latents=tmp_path / "before", num_frames=17)
    result = conditioned(vae, SVI, asked)
    assert known(result) == [4, 0, 0, 0, 0, 4]
    assert result.continuation == Continuation.latents(1)
    with pytest.raises(BadParams, match="legal are slot and extra_latent"):
        conditioned(vae, SVI, replace(asked, end_frame_mode="in_chunk"))


def test_svi_needs_an_anchor(vae: WanVae) -> None:
    with pytest.raises(BadParams, match="needs a start_image or an anchor_image"):
        conditioned(vae, SVI, request(start_image=None, prefix=video(20)))


def test_what_svi_does_not_use_is_reported(vae: WanVae) -> None:
    result = conditioned(vae, SVI, request(pad_video=video(3), end_latent_strength=0.5))
    assert {a.field: a.used for a in result.adjustments} == {"pad_video": None, "end_latent_strength": 1.0}


def test_the_options_of_image_to_video_arrive(vae: WanVae) -> None:
    plain = conditioned(vae, PLAIN, request())
    assert plain.conditioning is not None
    for name, value in {
        "pad_video": video(3),
        "start_latent_strength": 0.5,
        "end_latent_strength": 0.5,
        "augment_empty_frames": 0.3,
        "noise_augmentation": 0.1,
        "known_mask": np.ones((9, 64, 64), dtype=np.float32),
    }.items():
        changed = conditioned(vae, PLAIN, request(**{name: value})).conditioning
        assert changed is not None
        assert not torch.equal(changed.y, plain.conditioning.y), name


def test_text_to_video_refuses_pictures() -> None:
    assert without_images(request(start_image=None)).conditioning is None
    with pytest.raises(BadParams, match="start_image: wan_tiny_i2v makes videos of text only"):
        without_images(request())


def test_latents_of_another_size_are_the_inputs_fault(vae: WanVae, tmp_path: Path) -> None:
    save_latents(tmp_path / "before", torch.randn(16, 3, 4, 4), {})
    with pytest.raises(BadInput, match="of a 32x32 clip"):
        conditioned(vae, SVI, request(previous_latents=tmp_path / "before"))


def test_a_chain_hands_its_latents_on(engine: WanEngine, tmp_path: Path) -> None:
    model = "wan_tiny_i2v_svi2pro"
    first = engine.generate(request(model=model), Heard())
    assert first.save_handoff is not None
    assert (first.new_frames, len(frames_of(first))) == (9, 9)
    first.save_handoff(tmp_path / "first")
    asked = request(model=model, previous_latents=tmp_path / "first", num_frames=17, seed=8)
    second = engine.generate(asked, Heard())
    assert (second.new_frames, len(frames_of(second))) == (12, 17)
    assert second.details["svi2pro"] is True
