"""A VAE and a model whose frames are numbers: what a clip shows, and what it was told, can be read.

Only what needs weights is replaced: the two directions of the VAE and the denoising itself. Conditioning,
hand-off files, decoding and trimming are the worker's own.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from headless.adapters.numbered_frames import draw_number, read_number
from headless.segment import Picture
from models.vae import WanVae
from wan2gp_patch.frames import latent_count

SIDE, FRAMES = 64, 33
GREY = 65535
"""What the reader sees in a grey frame."""
ANCHOR, END = 60000, 50000
"""Numbers of the anchor and of the end image: neither may be shown by a clip that continues another."""
WRITTEN = 4
"""The channel that tells latents with numbers in them from zeros; the channels before it hold the numbers."""


def numbered(number: int) -> Picture:
    """The picture of that number."""
    return draw_number(number, SIDE, SIDE)


def encode(_: WanVae, video: Tensor | Sequence[Tensor], end_frame: bool = False) -> Tensor:
    """Latents that hold the numbers of their pixel frames."""
    pixels = video if isinstance(video, Tensor) else torch.cat(list(video), dim=1)
    bytes_ = ((pixels + 1) * 127.5).round().to(torch.uint8).permute(1, 2, 3, 0).numpy()
    numbers = [read_number(frame) for frame in bytes_]
    last = [[numbers.pop()] * 4] if end_frame else []
    first, *rest = numbers
    assert len(rest) % 4 == 0
    return latents_of([[first] * 4, *(rest[i : i + 4] for i in range(0, len(rest), 4)), *last])


def latents_of(groups: Sequence[Sequence[int]]) -> Tensor:
    """Latents [16, T, 8, 8] of four numbers each."""
    latents = torch.zeros(16, len(groups), SIDE // 8, SIDE // 8)
    latents[:WRITTEN] = torch.tensor(groups, dtype=torch.float32).T[..., None, None]
    latents[WRITTEN] = 1.0
    return latents


def numbers_in(latents: Tensor) -> list[list[int]]:
    """The four numbers of each latent frame; none where nothing was written."""
    written = latents[WRITTEN, :, 0, 0].tolist()
    numbers = latents[:WRITTEN, :, 0, 0].T.int().tolist()
    return [group if flag else [] for group, flag in zip(numbers, written, strict=True)]


def decode_chunks(_: WanVae, latents: Tensor, end_frame: bool = False) -> Iterator[Tensor]:
    """The pictures of the numbers: one frame, then four at a time; one of the last in end-frame mode."""
    groups = numbers_in(latents)
    for index, group in enumerate(groups):
        alone = index == 0 or (end_frame and index == len(groups) - 1)
        frames = np.stack([numbered(number) for number in (group[-1:] if alone else group)])
        yield torch.from_numpy(frames).permute(3, 0, 1, 2).float() / 127.5 - 1


@dataclass
class Story:
    """The ideal model: it repeats what it was told of the clip before, and counts on from `shown`.

    `told` holds, per clip, the frame numbers that the conditioning repeated, the anchor's left out.
    """

    shown: int = 0
    told: list[list[int]] = field(default_factory=list)

    def sample(self, *, noise: Tensor, y: Tensor | None, **_: Any) -> Tensor:
        """Stands in for `headless.engine.sampling.sample`."""
        assert y is not None
        assert y.shape[1:] == noise.shape[1:]
        groups = numbers_in(y[4:])
        head = next((i for i, group in enumerate(groups) if not group or GREY in group), len(groups))
        extra = len(groups) - latent_count(FRAMES)
        told = dict.fromkeys(number for group in groups[:head] for number in group)
        self.told.append([number for number in told if number != ANCHOR])
        firsts = range(self.shown, self.shown + 4 * (len(groups) - head - extra), 4)
        counted = [list(range(first, first + 4)) for first in firsts]
        return latents_of([*groups[:head], *counted, *groups[len(groups) - extra :]])


@pytest.fixture
def story(monkeypatch: pytest.MonkeyPatch) -> Story:
    """From here on the engine's VAE and model work with numbers."""
    told = Story()
    monkeypatch.setattr(WanVae, "encode", encode)
    monkeypatch.setattr(WanVae, "decode_chunks", decode_chunks)
    monkeypatch.setattr("headless.engine.segment_run.sample", told.sample)
    return told
