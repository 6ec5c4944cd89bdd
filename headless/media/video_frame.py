"""From a decoded frame, however it is stored, to an upright RGB picture."""

from __future__ import annotations

from dataclasses import dataclass

import av
import numpy as np
from av.sidedata.sidedata import SideData
from av.video.reformatter import ColorRange, Colorspace, Interpolation

from headless.errors import BadInput
from headless.segment import Picture

_EXACT = Interpolation.BICUBIC | Interpolation.ACCURATE_RND | Interpolation.FULL_CHR_H_INT
_HDR_TRANSFERS = {16: "PQ", 18: "HLG"}
_SDR_PRIMARIES = frozenset({0, 1, 2, 4, 5, 6, 7, 22})
_UNTAGGED = 2
_HD_ROWS = 720
_MATRIX_ENTRIES = 9


@dataclass(frozen=True)
class Orientation:
    """How stored frames are turned to be shown: transposed first, then flipped."""

    transpose: bool = False
    mirror: bool = False
    flip: bool = False

    @property
    def turned(self) -> bool:
        """Whether anything is to be done."""
        return self.transpose or self.mirror or self.flip

    def applied(self, picture: Picture) -> Picture:
        """The picture as it is to be shown, contiguous."""
        if self.transpose:
            picture = picture.transpose(1, 0, 2)
        if self.mirror:
            picture = picture[:, ::-1]
        if self.flip:
            picture = picture[::-1]
        return np.ascontiguousarray(picture)

    def applied_to_size(self, size: tuple[int, int]) -> tuple[int, int]:
        """(width, height) as shown."""
        return (size[1], size[0]) if self.transpose else size


def orientation_of(frame: av.VideoFrame, field: str) -> Orientation:
    """The display matrix of a frame (ISO 14496-12, 6.2.2): p' = a p + c q, q' = b p + d q.

    Raises `BadInput` for one that is not made of quarter turns and flips.
    """
    data = frame.side_data.get("DISPLAYMATRIX")
    if not isinstance(data, SideData):
        return Orientation()
    a, b, _, c, d = np.frombuffer(bytes(data), np.int32, _MATRIX_ENTRIES)[:5].tolist()
    if (b, c) == (0, 0) and a and d:
        return Orientation(False, a < 0, d < 0)
    if (a, d) == (0, 0) and b and c:
        return Orientation(True, c < 0, b < 0)
    raise BadInput(f"{field}: it is to be shown at an odd angle; only quarter turns and flips are legal")


def refuse_unfit_frame(frame: av.VideoFrame, field: str) -> None:
    """Refuse frames that would not come out right: concealed damage, HDR, wide gamut, interlacing."""
    if frame.is_corrupt:
        raise BadInput(f"{field}: a frame at {float(frame.time or 0):.2f} s is damaged")
    if frame.color_trc in _HDR_TRANSFERS:
        raise BadInput(f"{field}: it is in HDR ({_HDR_TRANSFERS[frame.color_trc]}); convert it to SDR")
    if frame.color_primaries not in _SDR_PRIMARIES:
        raise BadInput(f"{field}: its colours are wide-gamut ({frame.color_primaries}); convert it to BT.709")
    if frame.interlaced_frame:
        raise BadInput(f"{field}: it is interlaced; deinterlace it first")


def to_picture(frame: av.VideoFrame, size: tuple[int, int]) -> Picture:
    """RGB uint8 [H, W, 3] of `size` (width, height), as stored; transparency is laid over black."""
    has_alpha = any(component.is_alpha for component in frame.format.components)
    converted = frame.reformat(
        width=size[0],
        height=size[1],
        format="rgba" if has_alpha else "rgb24",
        src_colorspace=_assumed_colourspace(frame),
        dst_color_range=ColorRange.JPEG,
        interpolation=_EXACT,
        threads=1,
    )
    pixels = converted.to_ndarray().astype(np.uint8, copy=False)
    if not has_alpha:
        return pixels
    opaque = pixels[..., :3].astype(np.uint16) * pixels[..., 3:]
    return ((opaque + 127) // 255).astype(np.uint8)


def _assumed_colourspace(frame: av.VideoFrame) -> Colorspace | None:
    if frame.colorspace != _UNTAGGED:
        return None
    return Colorspace.ITU709 if taken_as_bt709(frame.height) else Colorspace.ITU601


def taken_as_bt709(rows: int) -> bool:
    """Whether pictures that do not say what their colours mean are BT.709; otherwise they are BT.601."""
    return rows >= _HD_ROWS
