"""What a video file says about itself, read without the product's own reader."""

from __future__ import annotations

import hashlib
import json
import struct
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
from av.video.reformatter import ColorPrimaries, ColorRange, ColorTrc

BT709 = 1


@dataclass(frozen=True)
class Mp4:
    """A video with one stream."""

    width: int
    height: int
    frames: int
    rate: Fraction
    pixel_format: str
    matrix: int
    primaries: ColorPrimaries
    transfer: ColorTrc
    colour_range: ColorRange
    metadata: dict[str, str]
    coded_sha256: str
    """Of the coded pictures alone: no header, no metadata."""

    @property
    def told(self) -> dict[str, Any]:
        """The product's own metadata."""
        return json.loads(self.metadata["headless"])  # type: ignore[no-any-return]  # an object


def read_mp4(path: Path) -> Mp4:
    """Decode the whole file."""
    with av.open(str(path)) as container:
        (stream,) = container.streams.video
        digest = hashlib.sha256()
        for packet in container.demux(stream):
            digest.update(bytes(packet))
    with av.open(str(path)) as container:
        (stream,) = container.streams.video
        frames = list(container.decode(stream))
        context = stream.codec_context
        return Mp4(
            width=context.width,
            height=context.height,
            frames=len(frames),
            rate=Fraction(stream.average_rate or 0),
            pixel_format=str(context.pix_fmt),
            matrix=int(context.colorspace),
            primaries=ColorPrimaries(context.color_primaries),
            transfer=ColorTrc(context.color_trc),
            colour_range=ColorRange(context.color_range),
            metadata=dict(container.metadata),
            coded_sha256=digest.hexdigest(),
        )


def boxes(path: Path) -> list[str]:
    """The top-level boxes of an mp4, in order."""
    data, names, position = path.read_bytes(), [], 0
    while position < len(data):
        size, name = struct.unpack(">I4s", data[position : position + 8])
        names.append(name.decode("ascii"))
        position += size
    return names
