"""What contact sheets are made of: pictures in frames, captions, titles."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from headless.segment import Picture

_Font = ImageFont.FreeTypeFont | ImageFont.ImageFont
Colour = tuple[int, int, int]

BACKGROUND: Colour = (24, 26, 31)
TITLE: Colour = (242, 244, 248)
CAPTION: Colour = (200, 205, 214)
GIVEN: Colour = (255, 184, 76)
EDGE: Colour = (58, 62, 71)

_MAX_TEXT = 600
_EDGE_WIDTH = 3


@dataclass(frozen=True)
class Labelled:
    """A picture, uint8 [H, W, 3] of any size, and its caption. `given` marks what the user gave."""

    caption: str
    picture: Picture
    given: bool = False


def place(
    sheet: Image.Image,
    cell: Labelled,
    corner: tuple[int, int],
    size: tuple[int, int],
    *,
    caption_size: int,
    caption_gap: int,
) -> None:
    """Draw a picture into a frame of `size` (width, height), centred, never stretched, and its caption."""
    draw = ImageDraw.Draw(sheet)
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
    draw.rectangle(edge, outline=GIVEN if cell.given else EDGE, width=_EDGE_WIDTH)
    font = ImageFont.load_default(caption_size)
    colour = GIVEN if cell.given else CAPTION
    draw.text((left, top + height + caption_gap), shortened(cell.caption, font, width), colour, font)


def cell_size(picture: Picture, long_side: int) -> tuple[int, int]:
    """Width and height of the frame for pictures of that shape."""
    height, width = picture.shape[:2]
    scale = long_side / max(width, height)
    return max(1, round(width * scale)), max(1, round(height * scale))


def wrapped(text: str, font: _Font, width: int, most: int) -> list[str]:
    """Lines of whole words, at most so many, the last one shortened."""
    lines: list[str] = []
    for word in text[:_MAX_TEXT].split():
        if lines and (font.getlength(f"{lines[-1]} {word}") <= width or len(lines) == most):
            lines[-1] += f" {word}"
        else:
            lines.append(word)
    return [shortened(line, font, width) for line in lines]


def shortened(text: str, font: _Font, width: int) -> str:
    """As much of a text as there is room for, on one line."""
    text = " ".join(text[:_MAX_TEXT].split())
    if font.getlength(text) <= width:
        return text
    while text and font.getlength(text + "…") > width:
        text = text[:-1]
    return text.rstrip() + "…"
