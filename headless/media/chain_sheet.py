"""A chain of clips at a glance: a strip for each segment, and under it the border with what comes before."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from headless.media.sheet_drawing import (
    BACKGROUND,
    CAPTION,
    EDGE,
    TITLE,
    Labelled,
    cell_size,
    place,
    shortened,
    wrapped,
)
from headless.media.stills import write_image
from headless.segment import Picture

DIFFERENCE_GAIN = 8
_MAGNIFIED = 4
_MARGIN = 28
_GAP = 14
_TITLE_SIZE = 30
_TITLE_LINES = 3
_MIN_WIDTH = 640
_QUALITY = 88
_TALLEST = 6_000
"""Pixels; WebP ends at 16383."""


@dataclass(frozen=True)
class SegmentPictures:
    """What the sheet shows of a segment, pictures being uint8 [H, W, 3].

    `frames`: number in the video -> picture, of a few of its frames, the first among them; the images that
    were given for it; `before`: the last frame shown before it, of the same size; `seam`: what was measured
    there.
    """

    title: str
    frames: Mapping[int, Picture]
    anchor: Picture | None = None
    start: Picture | None = None
    end: Picture | None = None
    before: Picture | None = None
    seam: str = ""

    @property
    def cells(self) -> list[Labelled]:
        """Its pictures in reading order."""
        shown = [Labelled(f"frame {number}", self.frames[number]) for number in sorted(self.frames)]
        given = (("anchor", self.anchor), ("start image", self.start))
        first = [Labelled(name, picture, given=True) for name, picture in given if picture is not None]
        last = [] if self.end is None else [Labelled("end image", self.end, given=True)]
        return [*first, *shown, *last]

    @property
    def border(self) -> list[Labelled]:
        """The border with what comes before; empty where nothing does."""
        number = min(self.frames)
        if self.before is None:
            return []
        return _border((f"frame {number - 1}", self.before), (f"frame {number}", self.frames[number]))


@dataclass(frozen=True)
class _Strip:
    """A titled row of pictures, and one for a border under it."""

    title: str
    cells: Sequence[Labelled]
    border: Sequence[Labelled]
    seam: str


@dataclass(frozen=True)
class _Layout:
    """Sizes in pixels: of the pictures, of text, and of a strip."""

    cell: tuple[int, int]
    columns: int
    caption: int

    @property
    def width(self) -> int:
        return self.columns * (self.cell[0] + _GAP) - _GAP

    @property
    def row(self) -> int:
        return self.cell[1] + self.caption + 6 + _GAP

    @property
    def heading(self) -> int:
        return self.caption + 4 + _GAP

    def height(self, strip: _Strip) -> int:
        rows = bool(strip.cells) + bool(strip.border)
        return self.heading + rows * self.row + _GAP


_SIZES = ((264, 18, 1), (208, 16, 2), (160, 14, 4), (96, 12, 99))
"""Longer side of the pictures, size of the captions, and in how many columns strips may lie then."""


def write_chain_sheet(
    segments: Sequence[SegmentPictures],
    path: Path,
    *,
    title: str,
    loop: tuple[Picture, Picture] | None = None,
    loop_seam: str = "",
) -> None:
    """Write `chain_sheet` as .webp, .jpg or .png. Raises `DiskFull`, and `ValueError` for no segments."""
    sheet = chain_sheet(segments, title=title, loop=loop, loop_seam=loop_seam)
    write_image(Image.fromarray(sheet), path, _QUALITY)


def chain_sheet(
    segments: Sequence[SegmentPictures],
    *,
    title: str,
    loop: tuple[Picture, Picture] | None = None,
    loop_seam: str = "",
) -> Picture:
    """One strip for each segment: given images, a few frames, and under them its border with what is before.

    Of a border it shows both frames, the middle of each magnified, and their difference, `DIFFERENCE_GAIN`
    times as strong. `loop` has the last and the first frame of a video that begins again. The more segments,
    the smaller the pictures.
    """
    if not segments:
        raise ValueError("a contact sheet needs at least one segment")
    strips = [_Strip(one.title, one.cells, one.border, one.seam) for one in segments]
    if loop is not None:
        ends = _border(("last frame", loop[0]), ("first frame", loop[1]))
        strips.append(_Strip("from the end to the beginning", [], ends, loop_seam))
    layout, columns = _fitting(strips, segments[0])
    width = max(_MIN_WIDTH, 2 * _MARGIN + len(columns) * (layout.width + _MARGIN) - _MARGIN)
    font = ImageFont.load_default(_TITLE_SIZE)
    lines = wrapped(title, font, width - 2 * _MARGIN, _TITLE_LINES)
    top = _MARGIN + len(lines) * (_TITLE_SIZE + 10) + (_GAP if lines else 0)
    tallest = max(sum(layout.height(strip) for strip in column) for column in columns)
    sheet = Image.new("RGB", (width, top + tallest - _GAP + _MARGIN), BACKGROUND)
    for number, line in enumerate(lines):
        ImageDraw.Draw(sheet).text((_MARGIN, _MARGIN + number * (_TITLE_SIZE + 10)), line, TITLE, font)
    for number, column in enumerate(columns):
        left, at = _MARGIN + number * (layout.width + _MARGIN), top
        for strip in column:
            _draw(sheet, strip, layout, (left, at))
            at += layout.height(strip)
    return np.asarray(sheet)


def _fitting(strips: list[_Strip], first: SegmentPictures) -> tuple[_Layout, list[list[_Strip]]]:
    """The largest pictures with which it is neither too tall nor too wide, and the strips by column."""
    across = max(max(len(strip.cells), len(strip.border) + bool(strip.border)) for strip in strips)
    shape = next(iter(first.frames.values()))
    for side, caption, most in _SIZES:
        layout = _Layout(cell_size(shape, side), across, caption)
        each = max(1, _TALLEST // max(layout.height(strip) for strip in strips))
        columns = -(-len(strips) // each)
        if columns <= most:
            break
    each = -(-len(strips) // columns)
    return layout, [strips[at : at + each] for at in range(0, len(strips), each)]


def _draw(sheet: Image.Image, strip: _Strip, layout: _Layout, corner: tuple[int, int]) -> None:
    draw, font = ImageDraw.Draw(sheet), ImageFont.load_default(layout.caption)
    (left, top), bold = corner, ImageFont.load_default(layout.caption + 4)
    draw.line((left, top, left + layout.width, top), EDGE, 2)
    draw.text((left, top + _GAP // 2), shortened(strip.title, bold, layout.width), TITLE, bold)
    top += layout.heading + _GAP // 2
    if strip.cells:
        _row(sheet, strip.cells, layout, (left, top))
        top += layout.row
    if strip.border:
        width = layout.cell[0]
        for number, line in enumerate(("border", *wrapped(strip.seam, font, width, 3))):
            at = left, top + number * (layout.caption + 6)
            draw.text(at, shortened(line, font, width), CAPTION, font)
        _row(sheet, strip.border, layout, (left + width + _GAP, top))


def _row(sheet: Image.Image, cells: Sequence[Labelled], layout: _Layout, corner: tuple[int, int]) -> None:
    for number, cell in enumerate(cells):
        at = corner[0] + number * (layout.cell[0] + _GAP), corner[1]
        place(sheet, cell, at, layout.cell, caption_size=layout.caption, caption_gap=5)


def _border(before: tuple[str, Picture], after: tuple[str, Picture]) -> list[Labelled]:
    if before[1].shape != after[1].shape:
        raise ValueError(f"frames of {before[1].shape} and {after[1].shape} have no border")
    difference = np.abs(before[1].astype(np.int16) - after[1]) * DIFFERENCE_GAIN
    return [
        Labelled(*before),
        Labelled(*after),
        Labelled(f"{before[0]}, middle", _middle(before[1])),
        Labelled(f"{after[0]}, middle", _middle(after[1])),
        Labelled(f"difference x {DIFFERENCE_GAIN}", np.minimum(difference, 255).astype(np.uint8)),
    ]


def _middle(picture: Picture) -> Picture:
    """The middle quarter of its width and height, pixels four times as large."""
    height, width = (max(1, side // _MAGNIFIED) for side in picture.shape[:2])
    top, left = (picture.shape[0] - height) // 2, (picture.shape[1] - width) // 2
    part = picture[top : top + height, left : left + width]
    return part.repeat(_MAGNIFIED, axis=0).repeat(_MAGNIFIED, axis=1)
