"""Decoding: diffusers' bits, frames as they come, and memory that does not grow with the clip."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor
from torch.profiler import ProfilerActivity, profile

from models.vae import WanVae
from tests.vae.measures import flops
from wan2gp_patch.errors import ConditioningError


def latents(frames: int, seed: int = 0, height: int = 2, width: int = 3) -> Tensor:
    return torch.randn(16, frames, height, width, generator=torch.Generator().manual_seed(seed))


def decoded_by_diffusers(vae: WanVae, given: Tensor) -> Tensor:
    """What diffusers' pipeline shows for these latents."""
    with torch.no_grad():
        scaled = vae.denormalise(given.to(vae.dtype))[None]
        pixels: Tensor = vae.module.decode(scaled).sample[0].float()
    return pixels


def test_the_same_bits_as_diffusers(vae: WanVae) -> None:
    given = latents(5)
    pixels = vae.decode(given)
    assert pixels.shape == (3, 17, 16, 24)
    assert pixels.dtype == torch.float32
    assert float(pixels.abs().max()) <= 1.0
    assert torch.equal(pixels, decoded_by_diffusers(vae, given))


def test_the_same_bits_in_tiles(tiled_vae: WanVae) -> None:
    given = latents(4, height=6, width=5)
    assert torch.equal(tiled_vae.decode(given), decoded_by_diffusers(tiled_vae, given))
    both = tiled_vae.decode(given, end_frame=True)
    assert torch.equal(both[:, :9], decoded_by_diffusers(tiled_vae, given[:, :3]))
    assert torch.equal(both[:, 9:], decoded_by_diffusers(tiled_vae, given[:, 3:]))


def test_end_frame_mode_begins_afresh_at_the_last_latent(vae: WanVae) -> None:
    given = latents(6)
    pixels = vae.decode(given, end_frame=True)
    assert pixels.shape[1] == 18
    assert torch.equal(pixels[:, :17], vae.decode(given[:, :5]))
    assert torch.equal(pixels[:, 17:], vae.decode(given[:, 5:]))


@pytest.mark.parametrize(("count", "end_frame", "frames"), [(21, False, 81), (22, True, 82), (1, False, 1)])
def test_lengths(tiny_vae: WanVae, count: int, end_frame: bool, frames: int) -> None:
    assert tiny_vae.decode(latents(count, height=1, width=1), end_frame).shape[1] == frames


def test_frames_come_as_they_are_decoded(tiny_vae: WanVae) -> None:
    given = latents(5)
    first = flops(lambda: next(tiny_vae.decode_chunks(given)))
    assert first < 0.1 * flops(lambda: tiny_vae.decode(given))
    chunks = list(tiny_vae.decode_chunks(given))
    assert [chunk.shape[1] for chunk in chunks] == [1, 4, 4, 4, 4]
    assert torch.equal(torch.cat(chunks, dim=1), tiny_vae.decode(given))
    assert [c.shape[1] for c in tiny_vae.decode_chunks(given, end_frame=True)] == [1, 4, 4, 4, 1]


@pytest.mark.parametrize("tiled", [False, True])
def test_memory_does_not_grow_with_the_clip(
    tiny_vae: WanVae, tiled_vae: WanVae, tiled: bool, tmp_path: Path
) -> None:
    vae = tiled_vae if tiled else tiny_vae
    short, long = (peak_bytes(vae, latents(count, height=5, width=2), tmp_path) for count in (3, 8))
    assert long < 1.02 * short


def peak_bytes(vae: WanVae, given: Tensor, tmp_path: Path) -> int:
    """The most bytes that tensors held at once while frames were read and let go."""
    with profile(activities=[ProfilerActivity.CPU], profile_memory=True) as recorded:
        for chunk in vae.decode_chunks(given):
            del chunk
    trace = tmp_path / f"{given.shape[1]}.json"
    recorded.export_chrome_trace(str(trace))
    events = json.loads(trace.read_text(encoding="utf-8"))["traceEvents"]
    totals = [event["args"]["Total Allocated"] for event in events if event.get("name") == "[memory]"]
    return int(max(totals) - min(totals))


def test_inside_inference_mode(tiny_vae: WanVae) -> None:
    given = latents(3)
    expected = tiny_vae.decode(given)
    with torch.inference_mode():
        assert torch.equal(tiny_vae.decode(given), expected)
    assert not expected.requires_grad


@pytest.mark.parametrize(
    ("shape", "end_frame", "message"),
    [
        ((1, 16, 3, 2, 2), False, r"latents are \[1, 16, 3, 2, 2\]; legal is \[16, T, h, w\]"),
        ((4, 3, 2, 2), False, r"latents are \[4, 3, 2, 2\]"),
        ((16, 3, 0, 2), False, r"latents are \[16, 3, 0, 2\]"),
        ((16, 0, 2, 2), False, r"0 latent frames .* at least 1 .*legal are 1, 2, 3"),
        ((16, 1, 2, 2), True, r"1 latent frames .* at least 2 .*legal are 2, 3, 4"),
    ],
)
def test_what_cannot_be_decoded(
    tiny_vae: WanVae, shape: tuple[int, ...], end_frame: bool, message: str
) -> None:
    with pytest.raises(ConditioningError, match=message):
        tiny_vae.decode_chunks(torch.zeros(shape), end_frame)


@pytest.mark.parametrize(
    ("shape", "end_frame", "message"),
    [
        ((3, 81, 16, 16), True, r"81 frames in end-frame mode: legal lengths are .*78, 82.*4k\+2"),
        ((3, 82, 16, 16), False, r"82 frames in a clip: legal lengths are .*81, 85.*4k\+1"),
        ((3, 5, 20, 16), False, r"20 high and 16 wide; legal are multiples of 8"),
        ((4, 5, 16, 16), False, r"pixels are \[4, 5, 16, 16\]; legal is \[3, frames, H, W\]"),
        ((1, 3, 5, 16, 16), False, r"legal is \[3, frames, H, W\]"),
        ((3,), False, r"pixels are \[3\]; legal is \[3, frames, H, W\]"),
        ((3, 5, 0, 16), False, r"pixels are \[3, 5, 0, 16\]; legal"),
    ],
)
def test_what_cannot_be_encoded(
    tiny_vae: WanVae, shape: tuple[int, ...], end_frame: bool, message: str
) -> None:
    with pytest.raises(ConditioningError, match=message):
        tiny_vae.encode(torch.zeros(shape), end_frame)


def test_whole_numbers_and_arrays_are_no_pixels_and_no_latents(tiny_vae: WanVae) -> None:
    """Bytes from 0 to 255 would pass for pixels, far outside [-1, 1]."""
    wrong: dict[str, Any] = {
        "torch.uint8; legal are floating-point": torch.zeros(3, 5, 16, 16, dtype=torch.uint8),
        "torch.float32 and torch.uint8": [
            torch.zeros(3, 1, 16, 16),
            torch.zeros(3, 4, 16, 16, dtype=torch.uint8),
        ],
        "pixels are ndarray; legal are tensors": [np.zeros((3, 5, 16, 16), np.float32)],
    }
    for message, pixels in wrong.items():
        with pytest.raises(ConditioningError, match=message):
            tiny_vae.encode(pixels)
    with pytest.raises(ConditioningError, match=r"latents are torch\.int64; legal are floating-point"):
        tiny_vae.decode_chunks(torch.zeros(16, 3, 2, 2, dtype=torch.int64))
    array: Any = np.zeros((16, 3, 2, 2))
    with pytest.raises(ConditioningError, match=r"latents are a ndarray; legal is \[16, T, h, w\]"):
        tiny_vae.decode_chunks(array)


def test_parts_of_different_sizes_and_no_parts_are_refused(tiny_vae: WanVae) -> None:
    with pytest.raises(ConditioningError, match=r"\[3, 1, 16, 16\] and \[3, 4, 16, 24\]"):
        tiny_vae.encode([torch.zeros(3, 1, 16, 16), torch.zeros(3, 4, 16, 24)])
    with pytest.raises(ConditioningError, match="there are no pixels"):
        tiny_vae.encode([])
    with pytest.raises(ConditioningError, match="0 frames in a clip"):
        tiny_vae.encode(torch.zeros(3, 0, 16, 16))
