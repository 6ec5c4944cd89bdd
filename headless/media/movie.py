"""A video that grows clip by clip and plays at every stage; no frame is encoded twice."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from itertools import islice
from pathlib import Path
from typing import BinaryIO

from headless.fingerprint import sha256_of
from headless.media.coded_clip import CodedClip, read_coded_clip, read_samples
from headless.media.movie_file import MovieClip, MovieContents, header, mark, read_contents
from headless.media.mp4_fragments import fragment
from headless.media.video_source import VideoLimits
from headless.media.whole_file import no_room_is_disk_full, whole_file
from headless.media.whole_mp4 import sample_runs, write_whole

__all__ = ["Movie", "MovieClip"]

HELD_BACK = 2
"""Frames that x264 holds back at most, with its usual three B-frames of which one is referred to."""
_COPIED_AT_ONCE = 1 << 20


class Movie:
    """A fragmented mp4 to which clips are appended as they are coded.

    A clip costs as many bytes of writing as it has, however long the movie is. The same clips give the same
    bytes, whether the movie was opened once or anew for each. One thread appends; others may take snapshots.

    Opening one that was being written when its process died cuts off what is left of the last clip. Raises
    `BadInput` where there is a file that is no such movie.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._contents = read_contents(path)

    @property
    def clips(self) -> tuple[MovieClip, ...]:
        """What has been appended, in order."""
        return self._contents.clips

    @property
    def frames(self) -> int:
        """How many frames it shows."""
        return len(self._contents.samples)

    def append(self, clip: Path) -> MovieClip:
        """Add the frames of a file that `VideoWriter` wrote, or `copy_head`, which comes first.

        Its frames decode to the very same pictures here, and follow the last frame at once. Raises `DiskFull`
        and `BadInput`, with the movie as it was; `ValueError` for a clip of another size or one that needs
        other parameter sets than the first clip has.
        """
        coded = self._fitting(read_coded_clip(clip, limits=_OURS, field=clip.name), clip.name)
        held = self._contents
        added = MovieClip(len(held.clips), len(held.samples), len(coded.samples), sha256_of(clip))
        with no_room_is_disk_full(self.path):
            self.path.parent.mkdir(parents=True, exist_ok=True)
            with self.path.open("r+b" if held.size else "w+b", buffering=0) as file:
                try:
                    if not held.size:
                        held.delay = _delay(coded)
                        _write(file, header(coded.picture, held.delay))
                    chunks = _append(file, held, coded, read_samples(clip, limits=_OURS), mark(added))
                except BaseException:
                    file.truncate(held.size)
                    raise
                size = file.tell()
        held.picture = held.picture or coded.picture
        held.clips += (added,)
        held.samples += coded.samples
        held.chunks += chunks
        held.duration += sum(sample.duration for sample in coded.samples)
        held.size = size
        return added

    def snapshot(self, destination: Path) -> Path:
        """Copy what is whole by now, for a reader that needs the file to stay as it is. Raises `DiskFull`."""
        size = self._contents.size
        with whole_file(destination) as partial, self.path.open("rb") as source, partial.open("wb") as copy:
            for data in _pieces(source, size):
                copy.write(data)
        return destination

    def finish(self, destination: Path, metadata: Mapping[str, str]) -> Path:
        """Write the movie as an ordinary mp4, its header first, with `metadata`; `read_metadata` reads that.

        The growing file stays. Raises `DiskFull`, and `ValueError` where nothing was appended.
        """
        contents = self._contents
        if contents.picture is None:
            raise ValueError(f"no clip was appended to {self.path.name}")
        with self.path.open("rb") as source:
            write_whole(
                destination,
                contents.picture,
                contents.samples,
                _payload(source, contents),
                [count for _, count in contents.chunks],
                metadata,
                contents.delay,
            )
        return destination

    def _fitting(self, coded: CodedClip, name: str) -> CodedClip:
        ours, its = self._contents.picture, coded.picture
        if ours is None:
            return coded
        if (its.width, its.height) != (ours.width, ours.height):
            raise ValueError(
                f"{name} has {its.width}x{its.height} pixels, the movie {ours.width}x{ours.height}"
            )
        if not ours.config.holds(its.config):
            raise ValueError(f"{name} needs parameter sets that the movie's first clip has not")
        return coded.in_ticks(ours.timescale)


_OURS = VideoLimits(max_bytes=2**62, max_seconds=1e9, max_frames=2**31)
"""What this program wrote itself is not too long for it."""


def _append(
    file: BinaryIO, held: MovieContents, coded: CodedClip, data: Iterator[bytes], end_mark: bytes
) -> list[tuple[int, int]]:
    """Write one clip; answers with the first byte and the number of samples of each fragment."""
    file.seek(0, os.SEEK_END)
    chunks: list[tuple[int, int]] = []
    time = held.duration
    for run in sample_runs(coded.samples):
        payload = b"".join(islice(data, len(run)))
        piece = fragment(len(held.chunks) + len(chunks) + 1, time, held.delay, run, payload)
        chunks.append((file.tell() + len(piece) - len(payload), len(run)))
        _write(file, piece)
        time += sum(sample.duration for sample in run)
    _write(file, end_mark)
    return chunks


def _delay(first: CodedClip) -> int:
    """As much as its frames need, and no less than its file has and what follows will need: clips of
    `VideoWriter` hold two frames back, if they have as many."""
    frames = HELD_BACK * min(sample.duration for sample in first.samples)
    return max(frames, first.delay, -min(sample.offset for sample in first.samples))


def _write(file: BinaryIO, data: bytes) -> None:
    """All of it: an unbuffered file may take a part."""
    rest = memoryview(data)
    while rest:
        rest = rest[file.write(rest) :]


def _payload(source: BinaryIO, contents: MovieContents) -> Iterator[bytes]:
    samples = iter(contents.samples)
    for at, count in contents.chunks:
        source.seek(at)
        yield from _pieces(source, sum(sample.size for sample in islice(samples, count)))


def _pieces(source: BinaryIO, size: int) -> Iterator[bytes]:
    while size > 0 and (data := source.read(min(size, _COPIED_AT_ONCE))):
        size -= len(data)
        yield data
