"""Fragments: runs of samples that an mp4 grows by (ISO 14496-12, 8.8)."""

from __future__ import annotations

import struct
from collections.abc import Sequence

import numpy as np

from headless.media.mp4_boxes import Sample, box, full_box

_BASE_IS_FRAGMENT = 0x020000
_DATA_OFFSET, _DURATION, _SIZE, _FLAGS, _OFFSET = 0x1, 0x100, 0x200, 0x400, 0x800
_SYNC_FLAGS = 0x02000000
"""sample_depends_on = 2: it depends on no other."""
_OTHER_FLAGS = 0x01010000
"""sample_depends_on = 1, sample_is_non_sync_sample."""
_HEADER = 88
"""Bytes of a `moof` box before its samples, as `fragment` writes it."""
_ENTRY = 16


def fragment(number: int, decode_time: int, delay: int, samples: Sequence[Sample], data: bytes) -> bytes:
    """`moof` and `mdat` of some samples, whose bytes are `data`, shown `delay` ticks later.

    `number` counts fragments from 1."""
    entries = np.empty((len(samples), 4), ">i4")
    for row, sample in enumerate(samples):
        flags = _SYNC_FLAGS if sample.sync else _OTHER_FLAGS
        entries[row] = (sample.duration, sample.size, flags, sample.offset + delay)
    begins = _HEADER + entries.nbytes + 8
    run_flags = _DATA_OFFSET | _DURATION | _SIZE | _FLAGS | _OFFSET
    head = box(
        b"moof",
        full_box(b"mfhd", 0, 0, struct.pack(">I", number)),
        box(
            b"traf",
            full_box(b"tfhd", 0, _BASE_IS_FRAGMENT, struct.pack(">I", 1)),
            full_box(b"tfdt", 1, 0, struct.pack(">Q", decode_time)),
            full_box(b"trun", 1, run_flags, struct.pack(">II", len(samples), begins), entries.tobytes()),
        ),
    )
    return head + box(b"mdat", data)


def samples_of(moof: bytes, delay: int) -> tuple[Sample, ...]:
    """The samples of a `moof` box that `fragment` wrote with that `delay`. `ValueError` for another's."""
    entries = np.frombuffer(moof, ">i4", offset=min(_HEADER, len(moof) // 4 * 4))
    samples = tuple(
        Sample(size, duration, offset - delay, flags == _SYNC_FLAGS)
        for duration, size, flags, offset in entries[: len(entries) // 4 * 4].reshape(-1, 4).tolist()
    )
    number, time = int.from_bytes(moof[20:24], "big"), int.from_bytes(moof[60:68], "big")
    if (
        len(moof) != _HEADER + _ENTRY * len(samples)
        or fragment(number, time, delay, samples, b"")[:-8] != moof
    ):
        raise ValueError("a fragment is not as this program writes them")
    return samples
