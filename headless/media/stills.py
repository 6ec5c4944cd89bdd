"""Still pictures that the worker writes: posters, previews, and what the contact sheet is saved with."""

from __future__ import annotations

import io
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType

import numpy as np
from PIL import Image

from headless.media.whole_file import whole_file
from headless.segment import Picture

_FORMATS: Mapping[str, str] = MappingProxyType(
    {".webp": "WEBP", ".jpg": "JPEG", ".jpeg": "JPEG", ".png": "PNG"}
)
# Half the time of the default method; files are no more than a tenth larger.
_OPTIONS: Mapping[str, Mapping[str, int]] = MappingProxyType({"WEBP": {"method": 2}})
_POSTER_QUALITY = 90
_PREVIEW_QUALITY = 70
_PREVIEW_SIDE = 512


def write_poster(picture: Picture, path: Path) -> None:
    """Write one frame, uint8 [H, W, 3], in the format that the suffix names: .webp, .jpg or .png.

    Raises `DiskFull`, and `ValueError` for another suffix.
    """
    write_image(Image.fromarray(np.ascontiguousarray(picture)), path, _POSTER_QUALITY)


def write_preview(picture: Picture, path: Path) -> None:
    """Write `preview_webp` to a file."""
    with whole_file(path) as partial:
        partial.write_bytes(preview_webp(picture))


def preview_webp(picture: Picture, side: int = _PREVIEW_SIDE) -> bytes:
    """A small WebP of a picture, scaled down to at most `side` pixels on its longer side."""
    image = Image.fromarray(np.ascontiguousarray(picture))
    image.thumbnail((side, side), Image.Resampling.LANCZOS)
    out = io.BytesIO()
    image.save(out, "WEBP", quality=_PREVIEW_QUALITY)
    return out.getvalue()


def write_image(image: Image.Image, path: Path, quality: int) -> None:
    """Save an RGB image whole or not at all; the suffix decides the format. Nothing but pixels is stored."""
    kind = _FORMATS.get(path.suffix.lower())
    if kind is None:
        raise ValueError(f"{path.name} is no picture file; legal suffixes are {', '.join(_FORMATS)}")
    with whole_file(path) as partial:
        image.save(partial, kind, quality=quality, **_OPTIONS.get(kind, {}))
