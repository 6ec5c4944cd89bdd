"""Pictures that carry a number, for eyes and for machines, and survive H.264.

The number stands in the middle as digits, and along the top edge as a strip of 16 black or white blocks,
most significant bit first.
"""

from __future__ import annotations

import colorsys

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from headless.segment import Picture

BITS = 16


def draw_number(number: int, width: int, height: int, seed: int = 0) -> Picture:
    """A picture of `number` (0..65535), uint8 [height, width, 3]; number and seed give the background."""
    return number_over(background(number, width, height, seed), number)


def background(number: int, width: int, height: int, seed: int = 0) -> Picture:
    """A plain picture, uint8 [height, width, 3], whose hue comes from `number` and `seed`."""
    hue = ((number * 7 + seed * 31) % 360) / 360
    colour = tuple(int(255 * c) for c in colorsys.hsv_to_rgb(hue, 0.45, 0.75))
    return np.asarray(Image.new("RGB", (width, height), colour), dtype=np.uint8)


def number_over(picture: Picture, number: int) -> Picture:
    """`number` (0..65535) written over a picture, as digits and as a strip. Raises `ValueError`."""
    if not 0 <= number < 1 << BITS:
        raise ValueError(f"number is {number}; a picture holds 0 to {(1 << BITS) - 1}")
    height, width = picture.shape[:2]
    canvas = Image.fromarray(picture)
    pen = ImageDraw.Draw(canvas)
    size = max(10, min(height, width) // 3)
    pen.text(
        (width / 2, height / 2), str(number), fill="black", anchor="mm", font=ImageFont.load_default(size)
    )
    for bit in range(BITS):
        left, right = bit * width // BITS, (bit + 1) * width // BITS
        on = number >> (BITS - 1 - bit) & 1
        pen.rectangle((left, 0, right - 1, height // 8 - 1), fill="white" if on else "black")
    return np.asarray(canvas, dtype=np.uint8)


def read_number(picture: Picture) -> int:
    """The number in a picture made by `draw_number`, read from its strip."""
    height, width = picture.shape[:2]
    strip = picture[: height // 8].astype(np.float32).mean(axis=(0, 2))
    number = 0
    for bit in range(BITS):
        left, right = bit * width // BITS, (bit + 1) * width // BITS
        number = number << 1 | int(strip[left:right].mean() > 127)
    return number
