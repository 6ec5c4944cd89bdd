"""The encode that skips what it knows: the same bits, a third of the work, and off where pixels move."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor
from torch.utils.flop_counter import FlopCounterMode

from models.vae import WanVae
from tests.vae.measures import encoded_by_diffusers, flops, grey, noise

START, END, FIVE, NINE = noise(1, 1), noise(1, 2), noise(5, 3), noise(9, 4)
CLIPS: dict[str, tuple[list[Tensor], float]] = {
    "nothing": ([grey(81)], 0.35),
    "start and grey": ([START, grey(80)], 0.35),
    "start repeated": ([START, START.expand(-1, 80, -1, -1)], 0.35),
    "start, grey, end": ([START, grey(79), END], 0.42),
    "start, start repeated, end": ([START, START.expand(-1, 79, -1, -1), END], 0.42),
    "grey, end": ([grey(80), END], 0.42),
    "start, grey, end four times": ([START, grey(76), END.expand(-1, 4, -1, -1)], 0.42),
    "5 frames and grey": ([FIVE, grey(76)], 0.40),
    "5 frames, grey, end": ([FIVE, grey(75), END], 0.46),
    "9 frames and grey": ([NINE, grey(72)], 0.45),
    "9 frames, grey, end": ([NINE, grey(71), END], 0.50),
    "5 frames, padding, end": ([FIVE, NINE, grey(66), END], 0.55),
}


@pytest.fixture(scope="module")
def plain_flops(tiny_vae: WanVae) -> int:
    """The work of diffusers' own encode of 81 frames."""
    moving = noise(81, 99)[None]
    return flops(lambda: tiny_vae.module.encode(moving))


@pytest.mark.parametrize("clip", CLIPS)
def test_the_same_bits_with_less_work(vae: WanVae, clip: str, plain_flops: int) -> None:
    """Handed over in parts, or as one tensor that is looked through for equal frames."""
    parts, share = CLIPS[clip]
    whole = torch.cat(parts, dim=1)
    expected = encoded_by_diffusers(vae, whole)
    for video in (parts, whole):
        with FlopCounterMode(display=False) as counter:
            latents = vae.encode(video)
        assert torch.equal(latents, expected)
        assert counter.get_total_flops() <= share * plain_flops


@pytest.mark.parametrize("middle", ["grey", "start"])
@pytest.mark.parametrize("frames", [1, 9])
def test_end_frame_mode(vae: WanVae, middle: str, frames: int, plain_flops: int) -> None:
    start = noise(frames, 5)
    empty = (grey(1) if middle == "grey" else START).expand(-1, 81 - frames, -1, -1)
    parts = [start, empty, END]
    with FlopCounterMode(display=False) as counter:
        latents = vae.encode(parts, end_frame=True)
    assert counter.get_total_flops() <= (0.36 if frames == 1 else 0.45) * plain_flops
    assert torch.equal(latents[:, :-1], encoded_by_diffusers(vae, torch.cat(parts[:2], dim=1)))
    assert torch.equal(latents[:, -1:], encoded_by_diffusers(vae, END))


def test_moving_pixels_take_all_the_work(tiny_vae: WanVae) -> None:
    moving = noise(33)
    plain = flops(lambda: tiny_vae.module.encode(moving[None]))
    assert flops(lambda: tiny_vae.encode(moving)) == plain
    assert flops(lambda: tiny_vae.encode([moving[:, :9], moving[:, 9:]])) == plain
    almost_still = grey(33).contiguous()
    almost_still[0, 1::2, 3, 5] += 1e-6
    assert flops(lambda: tiny_vae.encode(almost_still)) == plain


def test_a_long_still_clip_costs_nothing_at_its_end(tiny_vae: WanVae) -> None:
    """Beyond the reach of the deepest layer (112 frames) every chunk is known."""
    long, longer = [START, grey(160)], [START, grey(320)]
    assert flops(lambda: tiny_vae.encode(longer)) < 1.02 * flops(lambda: tiny_vae.encode(long))
    assert torch.equal(tiny_vae.encode(long), encoded_by_diffusers(tiny_vae, torch.cat(long, dim=1)))


@settings(max_examples=12, deadline=None)
@given(runs=st.lists(st.integers(1, 60), min_size=1, max_size=3), extra=st.integers(0, 3))
def test_any_mixture_of_runs_gives_the_same_bits(tiny_vae: WanVae, runs: list[int], extra: int) -> None:
    parts = [noise(1, seed, 16, 16).expand(-1, frames, -1, -1) for seed, frames in enumerate(runs)]
    total = sum(runs)
    parts.append(noise((1 - total) % 4 + 4 * extra, 50, 16, 16))
    whole = torch.cat(parts, dim=1)
    expected = encoded_by_diffusers(tiny_vae, whole)
    assert torch.equal(tiny_vae.encode(parts), expected)
    assert torch.equal(tiny_vae.encode(whole), expected)


def test_frames_that_repeat_with_a_change_between_them_are_no_run(tiny_vae: WanVae) -> None:
    pair = torch.cat([START, END], dim=1)
    blinking = torch.cat([pair.repeat(1, 20, 1, 1), START], dim=1)
    assert torch.equal(tiny_vae.encode(blinking), encoded_by_diffusers(tiny_vae, blinking))


def test_inside_inference_mode(vae: WanVae) -> None:
    parts = [START, grey(79), END]
    outside = vae.encode(parts)
    with torch.inference_mode():
        assert torch.equal(vae.encode(parts), outside)
        assert torch.equal(vae.encode(torch.cat(parts, dim=1)), outside)


def test_outside_it_the_latents_can_be_used_anywhere(tiny_vae: WanVae) -> None:
    latents = tiny_vae.encode([START, grey(4)])
    assert not latents.is_inference()
    assert not latents.requires_grad


def test_with_tiles(tiled_vae: WanVae) -> None:
    parts = [noise(1, 1, 32, 40), grey(39, 32, 40), noise(1, 2, 32, 40)]
    whole = torch.cat(parts, dim=1)
    with FlopCounterMode(display=False) as plain:
        expected = encoded_by_diffusers(tiled_vae, whole)
    with FlopCounterMode(display=False) as ours:
        assert torch.equal(tiled_vae.encode(parts), expected)
    assert ours.get_total_flops() < 0.7 * plain.get_total_flops()
    assert torch.equal(tiled_vae.encode(whole), expected)
    end_mode = tiled_vae.encode([*parts[:2], grey(1, 32, 40), parts[2]], end_frame=True)
    assert torch.equal(end_mode[:, -1:], encoded_by_diffusers(tiled_vae, parts[2]))


def test_only_the_frames_that_are_needed_are_read(tiny_vae: WanVae) -> None:
    """Where everything is settled no pixel is touched: a run of any length needs no memory of its own."""
    endless = [START, grey(4 * 5000)]
    assert tiny_vae.encode(endless).shape[1] == 5001
