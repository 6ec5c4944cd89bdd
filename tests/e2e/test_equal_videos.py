"""Equal frames give equal videos, whatever lies in the memory around them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from headless.media.video import VideoWriter
from headless.segment import Picture
from tests.worker.mp4 import read_mp4


@pytest.mark.parametrize("size", [(64, 64), (96, 96), (160, 96)])
def test_a_video_is_coded_alike_every_time(tmp_path: Path, size: tuple[int, int]) -> None:
    random = np.random.default_rng(5)
    frames = _noisy_pan(*size, random)
    coded: set[str] = set()
    clutter: list[bytes] = []
    for attempt in range(12):
        clutter.append(random.bytes(int(random.integers(1000, 400_000))))
        del clutter[:-4]
        path = tmp_path / f"{attempt}.mp4"
        with VideoWriter(path, width=size[0], height=size[1], fps=16) as video:
            for frame in frames:
                video.write(frame)
        coded.add(read_mp4(path).coded_sha256)
    assert len(coded) == 1


def _noisy_pan(width: int, height: int, random: np.random.Generator) -> list[Picture]:
    """Frames on which x264's rate control has something to decide."""
    small = random.integers(0, 255, (8, 8, 3), dtype=np.uint8)
    wide = np.asarray(Image.fromarray(small).resize((width, height), Image.Resampling.BICUBIC)).astype(int)
    noise = random.integers(-25, 26, (12, height, width, 3))
    return [
        np.clip(np.roll(wide, 3 * index, axis=1) + noise[index], 0, 255).astype(np.uint8)
        for index in range(12)
    ]
