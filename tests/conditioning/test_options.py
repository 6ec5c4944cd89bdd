"""The options of the image-to-video path: mask, padding, weights, references, noise, resizing."""

from __future__ import annotations

from functools import partial

import pytest
import torch

from models.vae import WanVae
from tests.conditioning.pictures import HEIGHT, WIDTH, Recorder, groups, noise, random_latents
from wan2gp_patch.any2video import image_to_video_conditioning
from wan2gp_patch.masks import pack_mask

conditioned = partial(image_to_video_conditioning, num_frames=17, height=HEIGHT, width=WIDTH)


def test_a_mask_replaces_what_the_images_say(tiny_vae: WanVae) -> None:
    mask = torch.zeros(17, HEIGHT, WIDTH)
    mask[3:7] = 1
    given = conditioned(tiny_vae, start=noise(1, 1), end=None, known_mask=mask)
    assert groups(given.mask) == ["0000", "0011", "1100", "0000", "0000"]
    assert given.adjustments == ()


@pytest.mark.parametrize(("frames", "kept"), [(9, 9), (17, 17), (30, 17)])
def test_a_mask_is_filled_with_unknown_frames_or_cut(tiny_vae: WanVae, frames: int, kept: int) -> None:
    given = conditioned(tiny_vae, start=noise(1, 1), end=None, known_mask=torch.ones(frames, 16, 16))
    assert given.mask.mean(dim=(-2, -1)).sum() == 4 + (kept - 1)
    reported = [(a.field, a.requested, a.used) for a in given.adjustments]
    assert reported == ([] if frames == 17 else [("known_mask", f"{frames} frames", "17 frames")])


def test_a_mask_that_leaves_the_end_image_unknown_says_so(tiny_vae: WanVae) -> None:
    """In `extra_latent` the end image is one frame more than the clip has."""
    given = conditioned(tiny_vae, start=noise(1, 1), end=noise(1, 2), known_mask=torch.ones(17, 16, 16))
    assert groups(given.mask) == ["1111"] * 5 + ["0000"]
    (adjustment,) = given.adjustments
    assert (adjustment.requested, adjustment.used) == ("17 frames", "18 frames")
    assert "the end image's among them" in adjustment.why


def test_a_mask_is_resized_by_the_nearest_neighbour(tiny_vae: WanVae) -> None:
    mask = torch.zeros(17, HEIGHT, WIDTH)
    mask[:, :, : WIDTH // 2] = 1
    given = conditioned(tiny_vae, start=noise(1, 1), end=None, known_mask=mask)
    assert torch.equal(given.mask[:, :, :, :3], torch.ones(4, 5, 4, 3))
    assert not given.mask[:, :, :, 3:].any()


def test_padding_stands_where_the_mask_calls_a_frame_empty(tiny_vae: WanVae) -> None:
    """Known frames without an image stay grey; given frames are never padded over."""
    start, end, pad = noise(1, 1), noise(1, 2), noise(6, 3)
    mask = torch.zeros(17, HEIGHT, WIDTH)
    mask[4:6] = 1
    given = conditioned(
        tiny_vae, start=start, end=end, pad_video=pad, known_mask=mask, end_frame_mode="in_chunk"
    )
    frames = torch.cat([pad, pad[:, -1:].expand(-1, 11, -1, -1)], dim=1)
    frames[:, 0], frames[:, 16], frames[:, 4:6] = start[:, 0], end[:, 0], 0.0
    assert torch.equal(given.latents, tiny_vae.encode(frames))


def test_padding_longer_than_the_clip_is_cut(tiny_vae: WanVae) -> None:
    start, pad = noise(1, 1), noise(40, 2)
    given = conditioned(tiny_vae, start=start, end=None, pad_video=pad)
    assert torch.equal(given.latents, tiny_vae.encode(torch.cat([start, pad[:, 1:17]], dim=1)))
    assert groups(given.mask) == ["1111", "0000", "0000", "0000", "0000"]


def test_padding_without_an_empty_frame_is_reported(tiny_vae: WanVae) -> None:
    for known_mask, start in ((None, noise(17, 1)), (torch.ones(17, 16, 16), noise(1, 1))):
        given = conditioned(tiny_vae, start=start, end=None, pad_video=noise(3, 2), known_mask=known_mask)
        assert [(a.field, a.requested, a.used) for a in given.adjustments] == [
            ("pad_video", "3 frames", None)
        ]


def test_weights_act_after_the_references_and_before_the_augmentation(tiny_vae: WanVae) -> None:
    start, end, references = noise(1, 1), noise(1, 2), random_latents(2, 3)
    plain = conditioned(tiny_vae, start=start, end=end)
    given = conditioned(
        tiny_vae,
        start=start,
        end=end,
        reference_latents=references,
        start_latent_strength=0.5,
        end_latent_strength=2.0,
        augment_empty_frames=0.25,
    )
    expected = torch.cat([references, plain.latents], dim=1)
    expected[:, 0] *= 0.5
    expected[:, -1] *= 2.0
    first = expected[:, :1]
    expected[:, 3:-1] = first + (expected[:, 3:-1] - first) * 1.25
    torch.testing.assert_close(given.latents, expected)
    assert groups(given.mask)[:3] == ["1111"] * 3
    assert (given.num_frames, given.reference_latents, given.decoded_frames) == (25, 2, 18)


def test_noise_is_seeded_and_spares_black(tiny_vae: WanVae) -> None:
    start, end = noise(1, 1), noise(1, 2)
    start[:, :, : HEIGHT // 2] = -1.0
    recorder = Recorder(tiny_vae)
    first, again, other = (
        conditioned(
            recorder,
            start=start,
            end=end,
            noise_augmentation=0.1,
            generator=torch.Generator().manual_seed(seed),
        )
        for seed in (7, 7, 8)
    )
    assert torch.equal(first.y, again.y)
    assert not torch.equal(first.y, other.y)
    seen_start, *_, seen_end = recorder.seen[0]
    assert torch.equal(seen_start[:, :, : HEIGHT // 2], start[:, :, : HEIGHT // 2])
    difference = torch.cat([(seen_start - start)[:, :, HEIGHT // 2 :].flatten(), (seen_end - end).flatten()])
    assert difference.std() == pytest.approx(0.1, rel=0.05)
    assert difference.mean() == pytest.approx(0.0, abs=0.01)


def test_an_image_of_another_size_is_resized_and_reported(tiny_vae: WanVae) -> None:
    given = conditioned(tiny_vae, start=noise(1, 1, 50, 70), end=noise(1, 2))
    assert [a.as_json() for a in given.adjustments] == [
        {
            "field": "start",
            "requested": "70x50",
            "used": "48x32",
            "why": "resized with Lanczos to the size of the clip",
        }
    ]


def test_resizing_keeps_every_level_of_an_8_bit_image(tiny_vae: WanVae) -> None:
    levels = torch.arange(256, dtype=torch.float32) / 255 * 2 - 1
    recorder = Recorder(tiny_vae)
    flat = levels.view(1, 256, 1, 1).expand(3, -1, 20, 20).contiguous()
    image_to_video_conditioning(recorder, start=flat, end=None, num_frames=257, height=16, width=16)
    resized = recorder.seen[0][0]
    assert torch.equal(((resized + 1) * 127.5).round()[0, :, 0, 0], torch.arange(256.0))


def test_packing_repeats_the_first_frame_and_on_request_the_last() -> None:
    frames = torch.arange(6.0).view(6, 1, 1)
    plain = pack_mask(frames[:5], expand_last=False)[:, :, 0, 0]
    assert plain.T.tolist() == [[0, 0, 0, 0], [1, 2, 3, 4]]
    extra = pack_mask(frames, expand_last=True)[:, :, 0, 0]
    assert extra.T.tolist() == [[0, 0, 0, 0], [1, 2, 3, 4], [5, 5, 5, 5]]
