"""How much work a JPEG asks for: its pixels are not all of it."""

from __future__ import annotations

import re

MAX_SCANS = 100
"""Encoders write 10 or so for a progressive picture. Each one is a walk over all of the pixels, and may take
fewer than a hundred bytes of the file."""

_MARKER = re.compile(rb"\xff[^\x00\xff\xd0-\xd7]", re.DOTALL)
_START_OF_SCAN = 0xDA
_END_OF_IMAGE = 0xD9
_ALONE = frozenset({0x01, 0xD8})


def scan_count(data: bytes) -> int:
    """Scans of a JPEG file up to its end marker (ITU-T T.81, B.1.1), those of embedded pictures left out."""
    at, scans = 2, 0
    while (found := _MARKER.search(data, at)) is not None:
        marker, at = data[found.end() - 1], found.end()
        if marker == _END_OF_IMAGE:
            break
        if marker not in _ALONE:
            at += int.from_bytes(data[at : at + 2], "big")
        scans += marker == _START_OF_SCAN
    return scans
