"""Whether a video file has all the bytes that its own structure says it has.

Demuxers show what they find in a truncated file and say nothing; a clip would just be shorter.
"""

from __future__ import annotations

from typing import BinaryIO

_LARGE_BOX = 1
_BOX_TO_THE_END = 0
_SEGMENT = 0x18538067
_MAX_BOXES = 100_000


def missing_from_mp4(file: BinaryIO, size: int) -> int:
    """Bytes by which the last top-level box reaches beyond the end (ISO 14496-12, 4.2); 0 if whole."""
    at = 0
    for _ in range(_MAX_BOXES):
        if at >= size:
            break
        file.seek(at)
        head = file.read(16)
        length = int.from_bytes(head[:4], "big")
        if length == _LARGE_BOX:
            length = int.from_bytes(head[8:16], "big")
        if length == _BOX_TO_THE_END:
            return 0
        at += max(length, 8)
    return max(0, at - size)


def missing_from_matroska(file: BinaryIO, size: int) -> int:
    """Bytes by which the segment reaches beyond the end (RFC 8794, 4 to 6); 0 if whole or of unknown size."""
    file.seek(0)
    head = file.read(4096)
    header_size, at = _variable_integer(head, 4)
    at += header_size
    if int.from_bytes(head[at : at + 4], "big") != _SEGMENT:
        return 0
    segment_size, start = _variable_integer(head, at + 4)
    unknown = segment_size == (1 << 7 * (start - at - 4)) - 1
    return 0 if unknown else max(0, start + segment_size - size)


def _variable_integer(data: bytes, at: int) -> tuple[int, int]:
    """An EBML size and where it ends; zero where there is none."""
    first = data[at] if at < len(data) else 0
    length = 9 - first.bit_length()
    if length > 8:
        return 0, at
    return int.from_bytes(data[at : at + length], "big") & ((1 << 7 * length) - 1), at + length
