"""The four end-frame modes: for a start image, for a prefix, for SVI; lengths, masks and what was changed."""

from __future__ import annotations

from contextlib import nullcontext

import pytest
import torch
from hypothesis import given as hypothesis_given
from hypothesis import settings
from hypothesis import strategies as st

from models.vae import WanVae
from tests.conditioning.pictures import HEIGHT, WIDTH, groups, noise, random_latents
from wan2gp_patch.any2video import (
    image_to_video_conditioning,
    svi_end_frame_conditioning,
    svi_pro_conditioning,
)
from wan2gp_patch.conditioning import Conditioning
from wan2gp_patch.errors import ConditioningError
from wan2gp_patch.frames import END_FRAME_MODES, Continuation, EndFrameMode

LAST_GROUP = {"in_chunk": "0001", "extra_latent": "1111", "slot": "0001", "repeat_4": "1111"}
LATENTS_OF_17 = {"in_chunk": 5, "extra_latent": 6, "slot": 5, "repeat_4": 5}


def fields(conditioning: Conditioning) -> dict[str, object]:
    """What was changed, by field."""
    return {adjustment.field: adjustment.used for adjustment in conditioning.adjustments}


@pytest.mark.parametrize("mode", END_FRAME_MODES)
@pytest.mark.parametrize("start_frames", [1, 9])
def test_start_and_end(tiny_vae: WanVae, mode: EndFrameMode, start_frames: int) -> None:
    given = image_to_video_conditioning(
        tiny_vae,
        start=noise(start_frames, 1),
        end=noise(1, 2),
        num_frames=17,
        height=HEIGHT,
        width=WIDTH,
        end_frame_mode=mode,
    )
    known = (start_frames - 1) // 4 + 1
    empty = LATENTS_OF_17[mode] - known - 1
    assert groups(given.mask) == ["1111"] * known + ["0000"] * empty + [LAST_GROUP[mode]]
    assert given.y.shape == (20, LATENTS_OF_17[mode], 4, 6)
    assert given.end_frame_mode == mode
    assert given.adjustments == ()


@pytest.mark.parametrize("mode", END_FRAME_MODES)
def test_decoding_gives_the_frames_that_were_asked_for(tiny_vae: WanVae, mode: EndFrameMode) -> None:
    given = image_to_video_conditioning(
        tiny_vae,
        start=noise(1, 1),
        end=noise(1, 2),
        num_frames=81,
        height=16,
        width=16,
        end_frame_mode=mode,
    )
    decoded = tiny_vae.decode(given.latents, given.decode_end_frame)
    assert decoded.shape[1] == given.decoded_frames == (82 if mode == "extra_latent" else 81)
    assert given.num_frames == 81


def test_the_end_latent_of_each_mode(tiny_vae: WanVae) -> None:
    start, end = noise(1, 1), noise(1, 2)
    by_mode = {
        mode: image_to_video_conditioning(
            tiny_vae, start=start, end=end, num_frames=17, height=HEIGHT, width=WIDTH, end_frame_mode=mode
        ).latents
        for mode in END_FRAME_MODES
    }
    alone = tiny_vae.encode(end)[:, 0]
    plain = image_to_video_conditioning(
        tiny_vae, start=start, end=None, num_frames=17, height=HEIGHT, width=WIDTH
    ).latents
    assert torch.equal(by_mode[EndFrameMode.EXTRA_LATENT][:, -1], alone)
    assert torch.equal(by_mode[EndFrameMode.EXTRA_LATENT][:, :-1], plain)
    assert torch.equal(by_mode[EndFrameMode.SLOT][:, -1], alone)
    assert not by_mode[EndFrameMode.SLOT][:, 1:-1].any()
    for mode in (EndFrameMode.IN_CHUNK, EndFrameMode.REPEAT_4):
        assert torch.equal(by_mode[mode][:, :-1], plain[:, :-1])
        assert not torch.allclose(by_mode[mode][:, -1], alone)
    assert not torch.allclose(by_mode[EndFrameMode.IN_CHUNK], by_mode[EndFrameMode.REPEAT_4])


def test_several_start_frames_and_an_end_agree_on_their_length(tiny_vae: WanVae) -> None:
    start, end = noise(9, 1), noise(1, 2)
    given = image_to_video_conditioning(
        tiny_vae, start=start, end=end, num_frames=17, height=HEIGHT, width=WIDTH
    )
    grey = torch.zeros(3, 18 - 9 - 1, HEIGHT, WIDTH)
    assert torch.equal(given.latents, tiny_vae.encode(torch.cat([start, grey, end], dim=1), end_frame=True))
    assert given.latents.shape[1] == given.mask.shape[1] == 6


def test_an_end_image_alone_is_always_in_the_last_chunk(tiny_vae: WanVae) -> None:
    given = image_to_video_conditioning(
        tiny_vae, start=None, end=noise(1, 2), num_frames=17, height=HEIGHT, width=WIDTH
    )
    assert given.end_frame_mode == "in_chunk"
    assert fields(given) == {"end_frame_mode": "in_chunk"}
    as_asked = image_to_video_conditioning(
        tiny_vae,
        start=None,
        end=noise(1, 2),
        num_frames=17,
        height=HEIGHT,
        width=WIDTH,
        end_frame_mode="in_chunk",
    )
    assert as_asked.adjustments == ()
    assert torch.equal(as_asked.y, given.y)


def test_no_image_is_encoded_grey_with_nothing_known(tiny_vae: WanVae) -> None:
    given = image_to_video_conditioning(
        tiny_vae, start=None, end=None, num_frames=17, height=HEIGHT, width=WIDTH
    )
    assert torch.equal(given.latents, tiny_vae.encode(torch.zeros(3, 17, HEIGHT, WIDTH)))
    assert not given.mask.any()
    assert given.end_frame_mode == "none"
    assert given.sequence_length == 5 * 4 * 6 // 4


@pytest.mark.parametrize("mode", END_FRAME_MODES)
def test_svi_from_the_anchor(tiny_vae: WanVae, mode: EndFrameMode) -> None:
    given = svi_end_frame_conditioning(
        tiny_vae, anchor=noise(1, 1), end=noise(1, 2), num_frames=17, end_frame_mode=mode
    )
    assert groups(given.mask) == ["1111", *["0000"] * (LATENTS_OF_17[mode] - 2), LAST_GROUP[mode]]
    assert given.continuation == Continuation.nothing()
    assert given.adjustments == ()


@pytest.mark.parametrize("mode", ["in_chunk", "extra_latent", "repeat_4"])
@pytest.mark.parametrize("overlap", [4, 8])
def test_svi_from_a_prefix_in_pixels(tiny_vae: WanVae, mode: str, overlap: int) -> None:
    prefix, end = noise(20, 1), noise(1, 2)
    given = svi_end_frame_conditioning(
        tiny_vae,
        anchor=noise(1, 3),
        end=end,
        num_frames=33,
        prefix_video=prefix,
        overlap=overlap,
        end_frame_mode=mode,
    )
    used = prefix[:, -(5 + overlap) :]
    same = image_to_video_conditioning(
        tiny_vae, start=used, end=end, num_frames=33, height=HEIGHT, width=WIDTH, end_frame_mode=mode
    )
    assert torch.equal(given.y, same.y)
    assert groups(given.mask)[: 2 + overlap // 4] == ["1111"] * (2 + overlap // 4)
    assert given.continuation == Continuation.pixels(overlap)
    assert fields(given) == {"anchor": None}


def test_svi_from_a_prefix_in_slots_takes_its_last_latents(tiny_vae: WanVae) -> None:
    anchor, prefix, end = noise(1, 1), noise(20, 2), noise(1, 3)
    given = svi_end_frame_conditioning(
        tiny_vae,
        anchor=anchor,
        end=end,
        num_frames=33,
        prefix_video=prefix,
        overlap=8,
        end_frame_mode="slot",
    )
    motion = tiny_vae.encode(prefix[:, -13:])[:, -2:]
    expected = [tiny_vae.encode(anchor), motion, torch.zeros(16, 5, 4, 6), tiny_vae.encode(end)]
    assert torch.equal(given.latents, torch.cat(expected, dim=1))
    assert groups(given.mask) == ["1111", *["0000"] * 7, "0001"]
    assert given.continuation == Continuation.latents(2)
    assert given.adjustments == ()


@pytest.mark.parametrize("mode", ["slot", "extra_latent"])
@pytest.mark.parametrize("motion", [0, 1, 2])
def test_svi_from_latents(tiny_vae: WanVae, mode: str, motion: int) -> None:
    anchor, end, previous = noise(1, 1), noise(1, 2), random_latents(5, 3)
    given = svi_end_frame_conditioning(
        tiny_vae,
        anchor=anchor,
        end=end,
        num_frames=17,
        end_frame_mode=mode,
        previous_latents=previous,
        motion_latent_count=motion,
    )
    count = LATENTS_OF_17[mode]
    zeros = torch.zeros(16, count - 2 - motion, 4, 6)
    expected = [tiny_vae.encode(anchor), previous[:, 5 - motion :], zeros, tiny_vae.encode(end)]
    assert torch.equal(given.latents, torch.cat(expected, dim=1))
    assert groups(given.mask) == ["1111", *["0000"] * (count - 2), LAST_GROUP[mode]]
    assert given.continuation == Continuation.latents(motion)


def test_a_prefix_that_is_too_short_gives_way_to_the_anchor(tiny_vae: WanVae) -> None:
    anchor, end = noise(1, 1), noise(1, 2)
    given = svi_end_frame_conditioning(
        tiny_vae, anchor=anchor, end=end, num_frames=17, prefix_video=noise(8, 3)
    )
    plain = svi_end_frame_conditioning(tiny_vae, anchor=anchor, end=end, num_frames=17)
    assert torch.equal(given.y, plain.y)
    assert fields(given) == {"prefix_video": "the anchor"}
    assert given.adjustments[0].requested == "8 frames"
    assert "9 frames" in given.adjustments[0].why
    assert given.continuation.head_drop == 1


def test_the_anchor_stands_in_the_empty_frames_on_request(tiny_vae: WanVae) -> None:
    anchor, end, prefix = noise(1, 1), noise(1, 2), noise(9, 3)
    given = svi_end_frame_conditioning(
        tiny_vae, anchor=anchor, end=end, num_frames=17, prefix_video=prefix, pad_empty_with_anchor=True
    )
    frames = torch.cat([prefix, anchor.expand(-1, 8, -1, -1), end], dim=1)
    assert torch.equal(given.latents, tiny_vae.encode(frames, end_frame=True))
    assert given.adjustments == ()


def test_padding_that_cannot_enter_is_reported(tiny_vae: WanVae) -> None:
    given = svi_end_frame_conditioning(
        tiny_vae,
        anchor=noise(1, 1),
        end=noise(1, 2),
        num_frames=17,
        end_frame_mode="slot",
        pad_empty_with_anchor=True,
    )
    assert fields(given) == {"pad_empty_with_anchor": False}


def test_fewer_latents_than_asked_for_are_reported() -> None:
    given = svi_pro_conditioning(
        random_latents(1, 1), num_frames=33, previous_latents=random_latents(2, 2), motion_latent_count=3
    )
    assert fields(given) == {"motion_latent_count": 2}
    assert given.continuation == Continuation.latents(2)


def test_an_anchor_of_several_latents_stands_before_the_motion() -> None:
    """It is decoded to more than one frame, and all of them are dropped."""
    anchor, previous = random_latents(2, 1), random_latents(5, 2)
    given = svi_pro_conditioning(anchor, num_frames=33, previous_latents=previous, motion_latent_count=3)
    assert torch.equal(given.latents[:, :5], torch.cat([anchor, previous[:, 2:]], dim=1))
    assert given.continuation.head_drop == 1 + 4 + 12


def test_a_first_svi_clip_continues_nothing() -> None:
    given = svi_pro_conditioning(random_latents(1, 1), num_frames=20)
    assert given.continuation.head_drop == 0
    assert fields(given) == {"num_frames": 17}


@settings(max_examples=25, deadline=None)
@hypothesis_given(
    num_frames=st.integers(1, 45),
    start=st.integers(0, 6),
    end=st.integers(0, 2),
    mode=st.sampled_from(END_FRAME_MODES),
)
def test_latents_and_mask_always_agree(
    tiny_vae: WanVae, num_frames: int, start: int, end: int, mode: EndFrameMode
) -> None:
    """Whatever fits gives as many latents as the mask has groups; what does not fit is refused by name."""
    fits = _fits(num_frames - (num_frames - 1) % 4, start, end, mode)
    with nullcontext() if fits else pytest.raises(ConditioningError, match=r"legal|at least"):
        given = image_to_video_conditioning(
            tiny_vae,
            start=noise(start, 1, 16, 16) if start else None,
            end=noise(end, 2, 16, 16) if end else None,
            num_frames=num_frames,
            height=16,
            width=16,
            end_frame_mode=mode,
        )
        assert given.latents.shape[1] == given.mask.shape[1]
        assert given.num_frames == num_frames - (num_frames - 1) % 4
        assert bool(((given.mask == 0) | (given.mask == 1)).all())


def _fits(frames: int, start: int, end: int, mode: EndFrameMode) -> bool:
    """Whether so many start and end frames can condition a clip of `frames`."""
    if not (start and end) or mode is EndFrameMode.IN_CHUNK:
        return start + end <= frames
    if mode is EndFrameMode.EXTRA_LATENT:
        return start + end <= frames + 1
    if mode is EndFrameMode.REPEAT_4:
        return end == 1 and start + 4 <= frames
    return end == 1 and start in (1, 5) and (start - 1) // 4 + 2 < (frames - 1) // 4 + 1
