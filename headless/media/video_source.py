"""Opening a video that a user gave, so that nothing but its own bytes is ever read."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from types import MappingProxyType
from typing import BinaryIO, NoReturn

import av
from av.container import InputContainer
from av.stream import Disposition
from av.video.stream import VideoStream

from headless.errors import BadInput, HeadlessError
from headless.media.completeness import missing_from_matroska, missing_from_mp4
from headless.media.file_kind import HEAD_BYTES, FileKind, identify

_FORMATS: Mapping[FileKind, str] = MappingProxyType({FileKind.MP4: "mov", FileKind.MATROSKA: "matroska"})
"""The demuxer is named, never guessed: one that was not asked for (HLS, concat) cannot be chosen."""

_CODECS = frozenset({"h264", "hevc", "av1", "vp8", "vp9", "mpeg4", "prores", "mjpeg", "ffv1"})
_LEGAL = "MP4, QuickTime, WebM and Matroska videos are legal"
_MICROSECONDS = 1_000_000
_MAX_SQUEEZE = 4


@dataclass(frozen=True)
class VideoLimits:
    """Limits of one video. What the file declares is checked first, what it holds while it is decoded."""

    max_bytes: int = 2 * 1024**3
    max_pixels: int = 4096 * 2304
    max_frames: int = 36_000
    max_seconds: float = 1_800.0
    max_streams: int = 32
    max_clip_bytes: int = 4 * 1024**3


@dataclass(frozen=True)
class VideoSource:
    """An open video, its first picture stream, and `sample_aspect_ratio`: how wide a pixel is."""

    container: InputContainer
    stream: VideoStream
    kind: FileKind
    sample_aspect_ratio: Fraction


@contextmanager
def open_video(path: Path, limits: VideoLimits, field: str) -> Iterator[VideoSource]:
    """Open a video by content. Whatever a decoder raises inside the block becomes `BadInput`.

    Raises `BadInput` for another kind of file, a damaged one, one without pictures, and anything beyond
    `limits`.
    """
    with path.open("rb") as file:
        kind = identify(file.read(HEAD_BYTES))
        if kind not in _FORMATS:
            raise BadInput(f"{field}: expected a video, found {kind} ({_LEGAL})")
        _check_bytes(file, kind, limits, field)
        with (
            _decoding(kind, field),
            av.open(
                file,
                "r",
                format=_FORMATS[kind],
                container_options={"enable_drefs": "0"},
                metadata_errors="replace",
                io_open=refuse_other_files,
            ) as container,
        ):
            yield _checked(container, kind, limits, field)


def _check_bytes(file: BinaryIO, kind: FileKind, limits: VideoLimits, field: str) -> None:
    size = file.seek(0, 2)
    if size > limits.max_bytes:
        raise BadInput(f"{field}: the video has more than {limits.max_bytes} bytes, the most that is legal")
    missing = missing_from_mp4(file, size) if kind is FileKind.MP4 else missing_from_matroska(file, size)
    if missing:
        raise BadInput(f"{field}: {kind} that is incomplete: {missing} of {size + missing} bytes are missing")
    file.seek(0)


@contextmanager
def _decoding(kind: FileKind, field: str) -> Iterator[None]:
    try:
        yield
    except HeadlessError:
        raise
    except (av.FFmpegError, ValueError, OSError, OverflowError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        raise BadInput(f"{field}: {kind} that is damaged, incomplete or encrypted ({reason})") from error


def refuse_other_files(*_: object) -> NoReturn:
    """What FFmpeg calls to open any file but the one that it was given."""
    raise PermissionError("a video may not refer to another file")


def _checked(container: InputContainer, kind: FileKind, limits: VideoLimits, field: str) -> VideoSource:
    count = len(container.streams)
    if count > limits.max_streams:
        raise BadInput(f"{field}: it has {count} streams; at most {limits.max_streams} are legal")
    pictures = [one for one in container.streams.video if not one.disposition & Disposition.attached_pic]
    if not pictures:
        raise BadInput(f"{field}: {kind} without pictures (no video stream)")
    stream = pictures[0]
    codec = stream.codec_context.codec.canonical_name if stream.codec_context is not None else "unknown"
    if codec not in _CODECS:
        raise BadInput(f"{field}: its codec is {codec}; legal are {', '.join(sorted(_CODECS))}")
    seconds = (container.duration or 0) / _MICROSECONDS
    if seconds > limits.max_seconds:
        raise BadInput(f"{field}: it lasts {seconds:.0f} s; at most {limits.max_seconds:g} s are legal")
    ratio = _pixel_shape(stream, field)
    check_size(shown_size(stream.width, stream.height, ratio), limits, field)
    stream.thread_type = "AUTO"
    stream.codec_context.options = {"max_pixels": str(limits.max_pixels)}
    return VideoSource(container, stream, kind, ratio)


def _pixel_shape(stream: VideoStream, field: str) -> Fraction:
    ratio = stream.sample_aspect_ratio or Fraction(1)
    if not Fraction(1, _MAX_SQUEEZE) <= ratio <= _MAX_SQUEEZE:
        raise BadInput(
            f"{field}: its pixels are {ratio} as wide as high; 1/{_MAX_SQUEEZE} to {_MAX_SQUEEZE} is legal"
        )
    return ratio


def shown_size(width: int, height: int, ratio: Fraction) -> tuple[int, int]:
    """(width, height) with square pixels: the side whose pixels are too long is given more of them."""
    if ratio >= 1:
        return round(width * ratio), height
    return width, round(height / ratio)


def check_size(size: tuple[int, int], limits: VideoLimits, field: str) -> None:
    """Refuse a frame that is empty or has more pixels than is legal."""
    width, height = size
    if width < 1 or height < 1 or width * height > limits.max_pixels:
        raise BadInput(
            f"{field}: its frames have {width}x{height} pixels; at most {limits.max_pixels} pixels are legal"
        )
