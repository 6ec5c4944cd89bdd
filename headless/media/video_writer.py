"""Writing an mp4 frame by frame."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import ExitStack
from fractions import Fraction
from pathlib import Path
from types import MappingProxyType, TracebackType

import av
import numpy as np
from av.video.reformatter import (
    ColorPrimaries,
    ColorRange,
    Colorspace,
    ColorTrc,
    Interpolation,
    VideoReformatter,
)

from headless.media.whole_file import whole_file
from headless.segment import Picture

_BT709 = 1
"""ITU-T H.273 matrix coefficients; primaries and transfer have enumerations in PyAV, the matrix has none."""

_EXACT = (
    Interpolation.AREA
    | Interpolation.ACCURATE_RND
    | Interpolation.FULL_CHR_H_INP
    | Interpolation.FULL_CHR_H_INT
)
"""Chroma is the mean of 2x2 pixels. Without accurate rounding every frame would lose about one level."""

_OPTIONS = MappingProxyType({"preset": "medium", "x264-params": "chromaloc=1:mbtree=0"})
"""Without `mbtree`: its vector code reads past the rows of pictures of some widths, 64 and 192 among them, so
that equal frames would be coded differently. `chromaloc=1` says that chroma lies in the centre of its
2x2 pixels, where the conversion puts it. Readers take it to lie at the left otherwise, and with each
continuation colours would move half a pixel."""

_THREADS = 4
"""Fixed: the number of threads changes the bytes that x264 writes."""


class VideoWriter:
    """H.264 in an mp4: yuv420p, limited range, converted and tagged as BT.709, `moov` before the pictures.

    Use as a context manager. The file appears under `path` when the block ends without an error and nothing
    is left otherwise. Frames are encoded as they come. `width` and `height` must be even, `fps` above zero;
    `crf` runs from 0 (lossless) to 51. `metadata` goes into the file and is read back by `read_metadata`.
    `parameter_set`, 0 to 31, is another where the pictures are to lie in one stream with others that were
    coded otherwise.

    Raises `DiskFull` where there is no room, `ValueError` for a frame of another shape or for none at all.
    """

    def __init__(
        self,
        path: Path,
        *,
        width: int,
        height: int,
        fps: float | Fraction,
        crf: float = 16,
        parameter_set: int = 0,
        metadata: Mapping[str, str] | None = None,
    ) -> None:
        if width % 2 or height % 2 or min(width, height) < 2:
            raise ValueError(f"a video of {width}x{height} cannot be written: both sides must be even")
        if fps <= 0:
            raise ValueError(f"a video of {fps} frames per second cannot be written")
        self._path = path
        self._size = (width, height)
        self._rate = Fraction(fps).limit_denominator(1001)
        self._options = {"crf": f"{crf:g}", **_OPTIONS}
        if parameter_set:
            self._options["x264-params"] += f":sps-id={parameter_set}"
        self._metadata = dict(metadata or {})
        self._frames = 0

    @property
    def frames(self) -> int:
        """How many frames have been written."""
        return self._frames

    def __enter__(self) -> VideoWriter:
        with ExitStack() as stack:
            partial = stack.enter_context(whole_file(self._path))
            self._container = stack.enter_context(
                av.open(
                    str(partial),
                    "w",
                    format="mp4",
                    container_options={"movflags": "+faststart+use_metadata_tags"},
                )
            )
            self._container.metadata.update(self._metadata)
            self._stream = self._container.add_stream("libx264", rate=self._rate, options=self._options)
            self._describe_stream()
            self._reformatter = VideoReformatter()
            self._open = stack.pop_all()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if error is not None:
            self._open.__exit__(kind, error, trace)
            return
        with self._open:
            if self._frames == 0:
                raise ValueError(f"no frame was written to {self._path.name}")
            self._container.mux(self._stream.encode(None))

    def write(self, frame: Picture) -> None:
        """Append one frame, uint8 [H, W, 3] RGB."""
        width, height = self._size
        if frame.shape != (height, width, 3) or frame.dtype != np.uint8:
            raise ValueError(f"a frame is {frame.dtype} {frame.shape}, not uint8 {(height, width, 3)}")
        picture = self._reformatter.reformat(
            av.VideoFrame.from_ndarray(np.ascontiguousarray(frame), format="rgb24"),
            format="yuv420p",
            dst_colorspace=Colorspace.ITU709,
            src_color_range=ColorRange.JPEG,
            dst_color_range=ColorRange.MPEG,
            interpolation=_EXACT,
            threads=1,
        )
        picture.pts, picture.time_base = self._frames, 1 / self._rate
        self._container.mux(self._stream.encode(picture))
        self._frames += 1

    def _describe_stream(self) -> None:
        self._stream.width, self._stream.height = self._size
        self._stream.pix_fmt = "yuv420p"
        context = self._stream.codec_context
        context.thread_count = _THREADS
        context.color_range = ColorRange.MPEG
        context.color_primaries = ColorPrimaries.BT709
        context.color_trc = ColorTrc.BT709
        context.colorspace = _BT709
