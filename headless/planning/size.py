"""The size of a clip: as asked for, or the shape of its images at the model's usual number of pixels."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Final

from headless.errors import BadParams
from headless.params.generate import MAX_PIXELS, MAX_SIDE, MIN_SIDE, GenerateParams
from headless.planning.ledger import Ledger
from wan2gp_patch.frames import SIZE_MULTIPLE

Size = tuple[int, int]
"""Width and height in pixels."""
SHAPE_GIVERS: Final = ("continue_from", "start_image", "anchor_image", "end_image")
"""What a clip takes its shape from, the first that is known."""


def resolve_size(params: GenerateParams, usual: Size, images: Mapping[str, Size], ledger: Ledger) -> Size:
    """Width and height, multiples of 16. `usual`: the model's size; `images`: sizes of inputs, by field.

    Raises:
        BadParams: no legal size has the shape of the input.
    """
    giver = next((name for name in SHAPE_GIVERS if name in images), None)
    width, height = params.width, params.height
    if width is not None and height is not None:
        return _snapped("width", width, ledger), _snapped("height", height, ledger)
    shape = usual if giver is None else images[giver]
    if width is not None:
        snapped = _snapped("width", width, ledger)
        return _legal((snapped, _nearest(snapped * shape[1] / shape[0])), giver, shape)
    if height is not None:
        snapped = _snapped("height", height, ledger)
        return _legal((_nearest(snapped * shape[0] / shape[1]), snapped), giver, shape)
    if giver is None or (giver == "continue_from" and all(side % SIZE_MULTIPLE == 0 for side in shape)):
        return _legal(shape, giver, shape)
    scale = math.sqrt(usual[0] * usual[1] / (shape[0] * shape[1]))
    return _legal((_nearest(shape[0] * scale), _nearest(shape[1] * scale)), giver, shape)


def _snapped(field: str, side: int, ledger: Ledger) -> int:
    snapped = side - side % SIZE_MULTIPLE
    ledger.used(field, side, snapped, f"a side is a multiple of {SIZE_MULTIPLE}")
    return snapped


def _nearest(side: float) -> int:
    return max(1, round(side / SIZE_MULTIPLE)) * SIZE_MULTIPLE


def _legal(size: Size, giver: str | None, shape: Size) -> Size:
    width, height = size
    if min(size) >= MIN_SIDE and max(size) <= MAX_SIDE and width * height <= MAX_PIXELS:
        return size
    raise BadParams(
        f"{giver or 'the model'} has the shape {shape[0]} x {shape[1]}, and a clip {width} x {height}: "
        f"give width and height, each from {MIN_SIDE} to {MAX_SIDE}, together at most {MAX_PIXELS} pixels."
    )
