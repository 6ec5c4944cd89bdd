"""A clip at a glance: a few of its frames and the given pictures, each with a caption, under one title."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from headless.media.sheet_drawing import BACKGROUND, TITLE, Labelled, cell_size, place, wrapped
from headless.media.stills import write_image
from headless.segment import Picture

__all__ = ["Labelled", "contact_sheet", "write_contact_sheet"]

_MARGIN = 28
_GAP = 20
_LONG_SIDE = 440
_CAPTION_SIZE = 24
_TITLE_SIZE = 30
_MAX_COLUMNS = 4
_MIN_WIDTH = 640
_TITLE_LINES = 3
_QUALITY = 92


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
    width, height = cell_size(next((cell for cell in cells if not cell.given), cells[0]).picture, _LONG_SIDE)
    columns = _columns(len(cells))
    rows = -(-len(cells) // columns)
    caption_height = _CAPTION_SIZE + _GAP // 2
    sheet_width = max(_MIN_WIDTH, 2 * _MARGIN + columns * width + (columns - 1) * _GAP)
    lines = wrapped(title, ImageFont.load_default(_TITLE_SIZE), sheet_width - 2 * _MARGIN, _TITLE_LINES)
    top = _MARGIN + len(lines) * (_TITLE_SIZE + 10) + (_GAP if lines else 0)
    sheet = Image.new(
        "RGB", (sheet_width, top + rows * (height + caption_height + _GAP) - _GAP + _MARGIN), BACKGROUND
    )
    draw = ImageDraw.Draw(sheet)
    for number, line in enumerate(lines):
        where = (_MARGIN, _MARGIN + number * (_TITLE_SIZE + 10))
        draw.text(where, line, TITLE, ImageFont.load_default(_TITLE_SIZE))
    for index, cell in enumerate(cells):
        row, column = divmod(index, columns)
        left = _MARGIN + column * (width + _GAP)
        corner = left, top + row * (height + caption_height + _GAP)
        place(sheet, cell, corner, (width, height), caption_size=_CAPTION_SIZE, caption_gap=_GAP // 2)
    return np.asarray(sheet)


def _columns(count: int) -> int:
    """As few rows as four columns allow, evenly filled: 5 pictures lie as 3 and 2, 7 as 4 and 3."""
    rows = -(-count // _MAX_COLUMNS)
    return -(-count // rows)
