"""A clip at a glance: a few of its frames and the given pictures, each with a caption, under one title."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from headless.media.stills import write_image
from headless.segment import Picture

_Font = ImageFont.FreeTypeFont | ImageFont.ImageFont
_Colour = tuple[int, int, int]

_BACKGROUND: _Colour = (24, 26, 31)
_TITLE: _Colour = (242, 244, 248)
_CAPTION: _Colour = (200, 205, 214)
_GIVEN: _Colour = (255, 184, 76)
_EDGE: _Colour = (58, 62, 71)

_MARGIN = 28
_GAP = 20
_LONG_SIDE = 440
_CAPTION_SIZE = 24
_TITLE_SIZE = 30
_MAX_COLUMNS = 4
_MIN_WIDTH = 640
_TITLE_LINES = 3
_MAX_TEXT = 600
_EDGE_WIDTH = 3
_QUALITY = 92


@dataclass(frozen=True)
class Labelled:
    """A picture, uint8 [H, W, 3] of any size, and its caption. `given` marks what the user gave."""

    caption: str
    picture: Picture
    given: bool = False


def write_contact_sheet(cells: Sequence[Labelled], path: Path, *, title: str) -> None:
    """Write `contact_sheet` as .webp, .jpg or .png. Raises `DiskFull`, and `ValueError` for no cells."""
    write_image(Image.fromarray(contact_sheet(cells, title=title)), path, _QUALITY)


def contact_sheet(cells: Sequence[Labelled], *, title: str) -> Picture:
    """Lay out pictures in reading order, at most four in a row, each 440 pixels on its longer side.

    Small pictures are scaled up, so that captions stay legible and a clip of 128x128 can be judged. Pictures
    of other shapes are centred in their cells, never stretched. What was given has a coloured edge.
    """
    if not cells:
        raise ValueError("a contact sheet needs at least one picture")
    width, height = _cell_size(next((cell for cell in cells if not cell.given), cells[0]).picture)
    columns = _columns(len(cells))
    rows = -(-len(cells) // columns)
    caption_height = _CAPTION_SIZE + _GAP // 2
    sheet_width = max(_MIN_WIDTH, 2 * _MARGIN + columns * width + (columns - 1) * _GAP)
    lines = _wrapped(title, ImageFont.load_default(_TITLE_SIZE), sheet_width - 2 * _MARGIN)
    top = _MARGIN + len(lines) * (_TITLE_SIZE + 10) + (_GAP if lines else 0)
    sheet = Image.new(
        "RGB", (sheet_width, top + rows * (height + caption_height + _GAP) - _GAP + _MARGIN), _BACKGROUND
    )
    draw = ImageDraw.Draw(sheet)
    for number, line in enumerate(lines):
        where = (_MARGIN, _MARGIN + number * (_TITLE_SIZE + 10))
        draw.text(where, line, _TITLE, ImageFont.load_default(_TITLE_SIZE))
    for index, cell in enumerate(cells):
        row, column = divmod(index, columns)
        left = _MARGIN + column * (width + _GAP)
        _place(sheet, draw, cell, (left, top + row * (height + caption_height + _GAP)), (width, height))
    return np.asarray(sheet)


def _cell_size(picture: Picture) -> tuple[int, int]:
    height, width = picture.shape[:2]
    scale = _LONG_SIDE / max(width, height)
    return max(1, round(width * scale)), max(1, round(height * scale))


def _columns(count: int) -> int:
    """As few rows as four columns allow, evenly filled: 5 pictures lie as 3 and 2, 7 as 4 and 3."""
    rows = -(-count // _MAX_COLUMNS)
    return -(-count // rows)


def _place(
    sheet: Image.Image,
    draw: ImageDraw.ImageDraw,
    cell: Labelled,
    corner: tuple[int, int],
    size: tuple[int, int],
) -> None:
    (left, top), (width, height) = corner, size
    source_height, source_width = cell.picture.shape[:2]
    scale = min(width / source_width, height / source_height)
    inner = max(1, round(source_width * scale)), max(1, round(source_height * scale))
    image = Image.fromarray(np.ascontiguousarray(cell.picture)).resize(inner, Image.Resampling.LANCZOS)
    sheet.paste(image, (left + (width - inner[0]) // 2, top + (height - inner[1]) // 2))
    edge = (
        left - _EDGE_WIDTH,
        top - _EDGE_WIDTH,
        left + width + _EDGE_WIDTH - 1,
        top + height + _EDGE_WIDTH - 1,
    )
    draw.rectangle(edge, outline=_GIVEN if cell.given else _EDGE, width=_EDGE_WIDTH)
    font = ImageFont.load_default(_CAPTION_SIZE)
    caption = _shortened(cell.caption, font, width)
    draw.text((left, top + height + _GAP // 2), caption, _GIVEN if cell.given else _CAPTION, font)


def _wrapped(text: str, font: _Font, width: int) -> list[str]:
    """Lines of whole words, at most three, the last one shortened."""
    lines: list[str] = []
    for word in text[:_MAX_TEXT].split():
        if lines and (font.getlength(f"{lines[-1]} {word}") <= width or len(lines) == _TITLE_LINES):
            lines[-1] += f" {word}"
        else:
            lines.append(word)
    return [_shortened(line, font, width) for line in lines]


def _shortened(text: str, font: _Font, width: int) -> str:
    text = " ".join(text[:_MAX_TEXT].split())
    if font.getlength(text) <= width:
        return text
    while text and font.getlength(text + "…") > width:
        text = text[:-1]
    return text.rstrip() + "…"
