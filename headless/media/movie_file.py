"""What lies in the file of a growing movie, and how it is found again there."""

from __future__ import annotations

import os
import re
import struct
from dataclasses import dataclass, field
from pathlib import Path

from headless.errors import BadInput
from headless.media.avc import AvcConfig
from headless.media.mp4_boxes import (
    PictureFormat,
    Sample,
    box,
    file_type,
    growing_header,
    top_level_boxes,
)
from headless.media.mp4_fragments import samples_of

FILE_TYPE = file_type(b"iso5", b"iso5", b"iso6", b"avc1", b"mp41")
_MARK = re.compile(rb"headless clip (\d+) of (\d+) frames, sha256 ([0-9a-f]{64})")
_TIMESCALE_AT = 8 + 12 + 16
"""In `moov`: its own header, that of `mvhd`, and two dates."""


@dataclass(frozen=True)
class MovieClip:
    """A clip of a movie: which one, its frames in the movie, and the SHA-256 of its file in hex."""

    index: int
    first_frame: int
    frames: int
    sha256: str


@dataclass
class MovieContents:
    """Samples in order; `chunks` has the first byte and the number of the samples of every fragment.

    `size` is in bytes, `duration` and `delay` in ticks. Frames are shown `delay` later than offsets say,
    and the header takes that away again: decoders want no frame to be shown before it is decoded. Before the
    first clip there is no `picture`, and `size` is 0.
    """

    picture: PictureFormat | None = None
    clips: tuple[MovieClip, ...] = ()
    samples: list[Sample] = field(default_factory=list)
    chunks: list[tuple[int, int]] = field(default_factory=list)
    size: int = 0
    duration: int = 0
    delay: int = 0


def header(picture: PictureFormat, delay: int) -> bytes:
    """What the file begins with."""
    return FILE_TYPE + growing_header(picture, delay)


def mark(clip: MovieClip) -> bytes:
    """What follows the last fragment of a clip: a box that players skip."""
    return box(b"free", f"headless clip {clip.index} of {clip.frames} frames, sha256 {clip.sha256}".encode())


def read_contents(path: Path) -> MovieContents:
    """Read a movie back. What was left of a clip that was never completed is cut off.

    Raises `BadInput` for a file that is no growing movie of this program.
    """
    contents = MovieContents()
    if not path.exists():
        return contents
    try:
        _read(path, contents)
    except (ValueError, struct.error, IndexError) as error:
        raise BadInput(f"{path.name} is no movie that grows, or is damaged ({error})") from error
    if path.stat().st_size > contents.size:
        os.truncate(path, contents.size)
    return contents


def _read(path: Path, contents: MovieContents) -> None:
    samples: list[Sample] = []
    chunks: list[tuple[int, int]] = []
    expected = 0
    with path.open("rb") as file:
        if not FILE_TYPE.startswith(file.read(len(FILE_TYPE))):
            raise ValueError("it begins like another kind of file")
        for name, start, end in top_level_boxes(file, path.stat().st_size):
            if name == b"mdat":
                if end - start - 8 != expected:
                    raise ValueError("a fragment has not the size that it should")
                continue
            file.seek(start)
            data = file.read(end - start)
            if name == b"moov":
                contents.picture, contents.delay = _picture(data)
            elif name == b"moof":
                found = samples_of(data, contents.delay)
                samples += found
                chunks.append((end + 8, len(found)))
                expected = sum(sample.size for sample in found)
            elif name == b"free":
                _complete(contents, data, samples, chunks, end)
                samples, chunks = [], []
            elif data != FILE_TYPE:
                raise ValueError(f"it has a box {name!r}")
    if contents.size == 0:
        contents.picture = None


def _picture(moov: bytes) -> tuple[PictureFormat, int]:
    timescale = int.from_bytes(moov[_TIMESCALE_AT : _TIMESCALE_AT + 4], "big")
    entry = moov.index(b"avc1") + 4
    width, height = struct.unpack_from(">HH", moov, entry + 24)
    config = AvcConfig.parse(moov[moov.index(b"avcC") + 4 :])
    colour = None
    if b"colrnclx" in moov:
        primaries, transfer, matrix, full = struct.unpack_from(">HHHB", moov, moov.index(b"colrnclx") + 8)
        colour = primaries, transfer, matrix, bool(full)
    picture = PictureFormat(width, height, timescale, config, colour)
    delay = int.from_bytes(moov[moov.index(b"elst") + 20 :][:8], "big")
    if growing_header(picture, delay) != moov:
        raise ValueError("its header is another program's")
    return picture, delay


def _complete(
    contents: MovieContents, data: bytes, samples: list[Sample], chunks: list[tuple[int, int]], end: int
) -> None:
    found = _MARK.fullmatch(data[8:])
    if found is None or int(found[1]) != len(contents.clips) or int(found[2]) != len(samples):
        raise ValueError("the mark after a clip does not fit")
    clip = MovieClip(len(contents.clips), len(contents.samples), len(samples), found[3].decode())
    contents.clips += (clip,)
    contents.samples += samples
    contents.chunks += chunks
    contents.duration += sum(sample.duration for sample in samples)
    contents.size = end
