"""Bringing a picture to the size of a clip without stretching it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from PIL import Image

from headless.errors import BadParams
from headless.segment import Picture
from wan2gp_patch.adjustment import Adjustment

FITS = ("crop", "pad")
_PADDING = (0, 0, 0)


@dataclass(frozen=True)
class FitReport:
    """What was done to a picture. Boxes are (left, top, right, bottom) in pixels.

    `source_box` is the part of the source that is shown, `target_box` where it lies in the result.
    """

    fit: str
    source: tuple[int, int]
    target: tuple[int, int]
    source_box: tuple[float, float, float, float]
    target_box: tuple[int, int, int, int]

    @property
    def shown(self) -> float:
        """The share of the source's area that is shown, 0 to 1."""
        left, top, right, bottom = self.source_box
        return (right - left) * (bottom - top) / (self.source[0] * self.source[1])

    @property
    def covered(self) -> float:
        """The share of the result's area that is not padding, 0 to 1."""
        left, top, right, bottom = self.target_box
        return (right - left) * (bottom - top) / (self.target[0] * self.target[1])

    def adjustment(self, field: str) -> Adjustment | None:
        """What a result lists where something was cropped away or padded; scaling alone is not listed."""
        size, wanted = ("x".join(map(str, pair)) for pair in (self.source, self.target))
        if self.shown < 1:
            why = (
                f"cropped around the centre to the aspect ratio of the clip; {self.shown:.1%} of it is shown"
            )
        elif self.covered < 1:
            why = f"padded with black to the aspect ratio of the clip; {self.covered:.1%} of it is picture"
        else:
            return None
        return Adjustment(field, size, wanted, why)


def fit_picture(picture: Picture, width: int, height: int, fit: str = "crop") -> tuple[Picture, FitReport]:
    """Scale uint8 [H, W, 3] to [height, width, 3] with its aspect ratio kept (Lanczos).

    `crop` fills the frame and cuts what juts out, around the centre. `pad` shows all of it, centred on black.
    Where the aspect ratio differs by less than half a pixel nothing is cut or padded.
    """
    report = fit_report((picture.shape[1], picture.shape[0]), width, height, fit)
    return _placed(picture, report), report


def fit_report(source: tuple[int, int], width: int, height: int, fit: str = "crop") -> FitReport:
    """What `fit_picture` does to a picture of (width, height) `source`."""
    whole = (0.0, 0.0, float(source[0]), float(source[1]))
    if fit == "crop":
        box = _crop_box(source, width, height) or whole
        return FitReport(fit, source, (width, height), box, (0, 0, width, height))
    if fit == "pad":
        return FitReport(fit, source, (width, height), whole, _pad_box(source, width, height))
    raise BadParams(f"fit: {fit!r} is not legal; write {' or '.join(FITS)}")


def _crop_box(source: tuple[int, int], width: int, height: int) -> tuple[float, float, float, float] | None:
    """The largest centred part with the target's aspect ratio; `None` where that is all of the source."""
    scale = max(width / source[0], height / source[1])
    if source[0] * scale - width < 0.5 and source[1] * scale - height < 0.5:
        return None
    left, right = _middle(source[0], width / scale)
    top, bottom = _middle(source[1], height / scale)
    return left, top, right, bottom


def _middle(length: int, part: float) -> tuple[float, float]:
    """Start and end of a part in the middle, kept within the whole whatever rounding does."""
    start = max(0.0, (length - part) / 2)
    return start, min(float(length), start + part)


def _pad_box(source: tuple[int, int], width: int, height: int) -> tuple[int, int, int, int]:
    """Where all of the source lies, centred, scaled to touch two edges of the target."""
    scale = min(width / source[0], height / source[1])
    inner_width, inner_height = max(1, round(source[0] * scale)), max(1, round(source[1] * scale))
    left, top = (width - inner_width) // 2, (height - inner_height) // 2
    return left, top, left + inner_width, top + inner_height


def _placed(picture: Picture, report: FitReport) -> Picture:
    left, top, right, bottom = report.target_box
    if report.source == report.target:
        return picture.copy()
    scaled = Image.fromarray(picture).resize(
        (right - left, bottom - top), Image.Resampling.LANCZOS, box=report.source_box
    )
    result = np.empty((report.target[1], report.target[0], 3), np.uint8)
    result[:] = _PADDING
    result[top:bottom, left:right] = np.asarray(scaled)
    return result
