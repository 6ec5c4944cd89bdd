"""Boxes of ISO base media files (ISO 14496-12): the header of a file with one H.264 track."""

from __future__ import annotations

import struct
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby, islice
from typing import BinaryIO

from headless.media.avc import AvcConfig

_SMALL_FILE = 2**32 - 2**28
"""Of pictures, so that with any header every byte has an offset of 32 bits."""
_IDENTITY = struct.pack(">9i", 0x10000, 0, 0, 0, 0x10000, 0, 0, 0, 0x40000000)
_UNDETERMINED = 0x55C4
"""The language `und`, ISO 639-2/T in three times five bits."""
_UTF8 = 1


@dataclass(frozen=True)
class PictureFormat:
    """What every sample of a track shares. `timescale` is in ticks per second.

    `colour` is primaries, transfer and matrix of ITU-T H.273, with full range or not. It is left out where
    there are several parameter sets, each of which says it for its own pictures.
    """

    width: int
    height: int
    timescale: int
    config: AvcConfig
    colour: tuple[int, int, int, bool] | None


@dataclass(frozen=True)
class Sample:
    """One coded frame: bytes, ticks until the next one is decoded, ticks from then until it is shown."""

    size: int
    duration: int
    offset: int
    sync: bool


def box(name: bytes, *content: bytes) -> bytes:
    """A box of at most 4 GiB."""
    body = b"".join(content)
    return struct.pack(">I4s", 8 + len(body), name) + body


def full_box(name: bytes, version: int, flags: int, *content: bytes) -> bytes:
    """A box with a version and flags."""
    return box(name, struct.pack(">I", version << 24 | flags), *content)


def file_type(major: bytes, *compatible: bytes) -> bytes:
    """Which readers understand the file."""
    return box(b"ftyp", major, struct.pack(">I", 0x200), *compatible)


def top_level_boxes(file: BinaryIO, size: int) -> Iterator[tuple[bytes, int, int]]:
    """Name, first byte and end of every whole box from the file's start; the first cut one ends it."""
    at = 0
    while at + 8 <= size:
        file.seek(at)
        length, name = struct.unpack(">I4s", file.read(8))
        if length < 8 or at + length > size:
            return
        yield name, at, at + length
        at += length


def growing_header(picture: PictureFormat, delay: int) -> bytes:
    """`moov` of a file whose samples come in fragments, however many, with `delay` ticks in their offsets."""
    tables = (
        full_box(b"stts", 0, 0, bytes(4)),
        full_box(b"stsc", 0, 0, bytes(4)),
        full_box(b"stsz", 0, 0, bytes(8)),
        full_box(b"stco", 0, 0, bytes(4)),
    )
    defaults = full_box(b"trex", 0, 0, struct.pack(">5I", 1, 1, 0, 0, 0))
    return _movie(picture, 0, _edit(0, delay), tables, box(b"mvex", defaults))


def whole_header(
    picture: PictureFormat,
    samples: Sequence[Sample],
    chunks: Sequence[int],
    begins: int,
    metadata: Mapping[str, str],
    delay: int = 0,
) -> bytes:
    """`moov` of a whole file: the bytes of the samples lie from byte `begins` on, in `chunks` of so many.

    Its length does not depend on `begins`. Frames are shown `delay` ticks late, or more if some could not be
    decoded before they are shown; an edit list takes that away again, so that the first is shown at 0.
    """
    duration = sum(sample.duration for sample in samples)
    delay = max(delay, -min(sample.offset for sample in samples))
    tables = (
        full_box(b"stts", 0, 0, _runs([sample.duration for sample in samples])),
        full_box(b"stss", 0, 0, _numbers([at for at, sample in enumerate(samples, 1) if sample.sync])),
        full_box(b"ctts", 0, 0, _runs([sample.offset + delay for sample in samples])),
        full_box(b"stsz", 0, 0, bytes(4), _numbers([sample.size for sample in samples])),
        *_chunk_tables(samples, chunks, begins),
    )
    return _movie(picture, duration, _edit(duration, delay), tables, _user_data(metadata))


def _movie(
    picture: PictureFormat, duration: int, edits: bytes, tables: Sequence[bytes], more: bytes
) -> bytes:
    scale = picture.timescale
    movie = struct.pack(">QQIQIH10x36s24xI", 0, 0, scale, duration, 0x10000, 0x100, _IDENTITY, 2)
    size = struct.pack(">II", picture.width << 16, picture.height << 16)
    track = struct.pack(">QQI4xQ8xhhh2x36s", 0, 0, 1, duration, 0, 0, 0, _IDENTITY) + size
    media = struct.pack(">QQIQHH", 0, 0, scale, duration, _UNDETERMINED, 0)
    handler = full_box(b"hdlr", 0, 0, struct.pack(">4x4s12x", b"vide"), b"VideoHandler\x00")
    in_this_file = full_box(b"dref", 0, 0, struct.pack(">I", 1), full_box(b"url ", 0, 1))
    info = box(
        b"minf",
        full_box(b"vmhd", 0, 1, bytes(8)),
        box(b"dinf", in_this_file),
        box(b"stbl", _description(picture), *tables),
    )
    return box(
        b"moov",
        full_box(b"mvhd", 1, 0, movie),
        box(
            b"trak",
            full_box(b"tkhd", 1, 3, track),
            edits,
            box(b"mdia", full_box(b"mdhd", 1, 0, media), handler, info),
        ),
        more,
    )


def _edit(duration: int, delay: int) -> bytes:
    """Shows from `delay` on; a duration of 0 is whatever comes."""
    return box(b"edts", full_box(b"elst", 1, 0, struct.pack(">IQqI", 1, duration, delay, 0x10000)))


def _description(picture: PictureFormat) -> bytes:
    entry = struct.pack(
        ">6xH16xHHII4xH32sHh",
        1,
        picture.width,
        picture.height,
        0x480000,
        0x480000,
        1,
        b"",
        24,
        -1,
    )
    colour = b""
    if picture.colour is not None:
        *points, full = picture.colour
        colour = box(b"colr", b"nclx", struct.pack(">HHHB", *points, full << 7))
    avc = box(b"avc1", entry, box(b"avcC", picture.config.to_bytes()), colour)
    return full_box(b"stsd", 0, 0, struct.pack(">I", 1), avc)


def _chunk_tables(samples: Sequence[Sample], chunks: Sequence[int], begins: int) -> tuple[bytes, bytes]:
    starts, of_size, rest = [], [], iter(samples)
    wide = sum(sample.size for sample in samples) > _SMALL_FILE
    for number, count in enumerate(chunks, 1):
        starts.append(begins)
        begins += sum(sample.size for sample in islice(rest, count))
        if number == 1 or chunks[number - 2] != count:
            of_size.append(struct.pack(">III", number, count, 1))
    return (
        full_box(b"stsc", 0, 0, struct.pack(">I", len(of_size)), *of_size),
        full_box(b"co64" if wide else b"stco", 0, 0, _numbers(starts, "Q" if wide else "I")),
    )


def _runs(values: Sequence[int]) -> bytes:
    runs = [(sum(1 for _ in group), value) for value, group in groupby(values)]
    return struct.pack(">I", len(runs)) + b"".join(struct.pack(">II", *run) for run in runs)


def _numbers(values: Sequence[int], kind: str = "I") -> bytes:
    return struct.pack(f">I{len(values)}{kind}", len(values), *values)


def _user_data(metadata: Mapping[str, str]) -> bytes:
    """Tags of any name, as QuickTime keeps them (`mdta`); what `VideoWriter` writes, too."""
    if not metadata:
        return b""
    handler = full_box(b"hdlr", 0, 0, struct.pack(">4x4s12xx", b"mdta"))
    keys = b"".join(box(b"mdta", name.encode()) for name in metadata)
    values = (
        box(struct.pack(">I", number), box(b"data", struct.pack(">II", _UTF8, 0), value.encode()))
        for number, value in enumerate(metadata.values(), 1)
    )
    names = full_box(b"keys", 0, 0, struct.pack(">I", len(metadata)), keys)
    return box(b"udta", full_box(b"meta", 0, 0, handler, names, box(b"ilst", *values)))
