"""An mp4 whose header comes before its samples, from samples that are coded already."""

from __future__ import annotations

import struct
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path

from headless.media.mp4_boxes import PictureFormat, Sample, file_type, whole_header
from headless.media.whole_file import whole_file

_FILE_TYPE = file_type(b"isom", b"isom", b"iso2", b"avc1", b"mp41")
_LARGE = 2**32
_LONGEST_RUN = 256


def write_whole(
    path: Path,
    picture: PictureFormat,
    samples: Sequence[Sample],
    data: Iterable[bytes],
    chunks: Sequence[int],
    metadata: Mapping[str, str],
    delay: int = 0,
) -> None:
    """Write `samples`, whose bytes are `data` in order, in `chunks` of so many. Raises `DiskFull`.

    Every byte is written once: how long the header will be is known before where the samples lie is.
    """
    size = sum(sample.size for sample in samples)
    large = size + 8 >= _LARGE
    head = struct.pack(">I4sQ", 1, b"mdat", size + 16) if large else struct.pack(">I4s", size + 8, b"mdat")
    begins = len(_FILE_TYPE) + len(head)
    begins += len(whole_header(picture, samples, chunks, begins, metadata, delay))
    header = whole_header(picture, samples, chunks, begins, metadata, delay)
    with whole_file(path) as partial, partial.open("wb") as file:
        file.write(_FILE_TYPE + header + head)
        for piece in data:
            file.write(piece)


def sample_runs(samples: Sequence[Sample]) -> Iterator[Sequence[Sample]]:
    """Samples as they lie together. A run begins with one that can be decoded alone, if there is one soon."""
    start = 0
    for at in range(1, len(samples) + 1):
        if at == len(samples) or samples[at].sync or at - start == _LONGEST_RUN:
            yield samples[start:at]
            start = at
