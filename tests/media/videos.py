"""Videos made by the tests: whatever users send, good and bad."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from fractions import Fraction
from pathlib import Path

import av
import numpy as np

from headless.segment import Picture


def shade(index: int, width: int = 64, height: int = 48) -> Picture:
    """A grey frame that tells its number: `index` * 6 + 16."""
    return np.full((height, width, 3), index * 6 + 16, np.uint8)


def number_of(picture: Picture) -> int:
    """The number that `shade` put into a frame."""
    return round((float(picture.mean()) - 16) / 6)


def corners(width: int = 64, height: int = 48) -> Picture:
    """Red and green above blue and white: no turn or flip looks like another."""
    picture = np.zeros((height, width, 3), np.uint8)
    picture[: height // 2, : width // 2] = (255, 0, 0)
    picture[: height // 2, width // 2 :] = (0, 255, 0)
    picture[height // 2 :, : width // 2] = (0, 0, 255)
    picture[height // 2 :, width // 2 :] = (255, 255, 255)
    return picture


def make_video(
    path: Path,
    pictures: Iterable[Picture],
    *,
    container: str = "mp4",
    codec: str = "libx264",
    pixel_format: str = "yuv420p",
    rate: Fraction | int = 16,
    times: Sequence[int] | None = None,
    time_base: Fraction | None = None,
    rotation: float | None = None,
    mirrored: bool = False,
    pixel_shape: Fraction | None = None,
    tags: tuple[int, int, int, int] | None = None,
    options: dict[str, str] | None = None,
) -> Path:
    """Write `pictures` as a video. `tags` are range, primaries, transfer and matrix (H.273)."""
    pictures = list(pictures)
    with av.open(str(path), "w", format=container) as output:
        stream = output.add_stream(codec, rate=rate, options=options or {"crf": "8"})
        assert isinstance(stream, av.VideoStream)
        stream.height, stream.width = pictures[0].shape[:2]
        stream.pix_fmt = pixel_format
        context = stream.codec_context
        if pixel_shape is not None:
            context.sample_aspect_ratio = pixel_shape
        if tags is not None:
            context.color_range, context.color_primaries, context.color_trc, context.colorspace = tags
        if rotation is not None:
            stream.set_display_rotation(rotation, hflip=mirrored)
        if time_base is not None:
            context.time_base = time_base
        for index, picture in enumerate(pictures):
            frame = av.VideoFrame.from_ndarray(np.ascontiguousarray(picture), format="rgb24")
            frame.pts = index if times is None else times[index]
            frame.time_base = time_base or 1 / Fraction(rate)
            output.mux(stream.encode(frame))
        output.mux(stream.encode(None))
    return path


def make_audio(path: Path, container: str = "mp4", streams: int = 1) -> Path:
    """Half a second of silence in `streams` streams, without pictures."""
    with av.open(str(path), "w", format=container) as output:
        sounds = [output.add_stream("aac", rate=44100, layout="mono") for _ in range(streams)]
        for number in range(20):
            for stream in sounds:
                assert isinstance(stream, av.AudioStream)
                frame = av.AudioFrame.from_ndarray(
                    np.zeros((1, 1024), np.float32), format="fltp", layout="mono"
                )
                frame.sample_rate, frame.pts = 44100, number * 1024
                output.mux(stream.encode(frame))
        for stream in sounds:
            assert isinstance(stream, av.AudioStream)
            output.mux(stream.encode(None))
    return path
