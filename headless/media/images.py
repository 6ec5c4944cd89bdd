"""Reading still pictures that users give: checked before they are decoded, upright sRGB afterwards."""

from __future__ import annotations

import io
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType

import numpy as np
from PIL import (
    AvifImagePlugin,
    BmpImagePlugin,
    GifImagePlugin,
    Image,
    ImageFile,
    JpegImagePlugin,
    PngImagePlugin,
    TiffImagePlugin,
    WebPImagePlugin,
)

from headless.errors import BadInput, HeadlessError
from headless.media.colour import DEFAULT_MATTE, refuse_wide_colour, to_srgb
from headless.media.file_kind import HEAD_BYTES, FileKind, identify
from headless.media.fit import FitReport, fit_picture
from headless.media.jpeg import MAX_SCANS, scan_count
from headless.segment import Picture

__all__ = ["FitReport", "ImageLimits", "fit_picture", "image_size", "load_image"]

_READERS: Mapping[FileKind, Callable[[io.BytesIO], ImageFile.ImageFile]] = MappingProxyType(
    {
        FileKind.PNG: PngImagePlugin.PngImageFile,
        FileKind.JPEG: JpegImagePlugin.JpegImageFile,
        FileKind.WEBP: WebPImagePlugin.WebPImageFile,
        FileKind.BMP: BmpImagePlugin.BmpImageFile,
        FileKind.TIFF: TiffImagePlugin.TiffImageFile,
        FileKind.GIF: GifImagePlugin.GifImageFile,
        FileKind.AVIF: AvifImagePlugin.AvifImageFile,
    }
)
"""The readers are called directly: `Image.open` judges sizes by a limit that the whole process shares."""

_LEGAL = "PNG, JPEG, WebP, BMP, TIFF, GIF and AVIF pictures are legal"
_ORIENTATION_TAG = 0x0112
_TURNS: Mapping[int, Image.Transpose] = MappingProxyType(
    {
        2: Image.Transpose.FLIP_LEFT_RIGHT,
        3: Image.Transpose.ROTATE_180,
        4: Image.Transpose.FLIP_TOP_BOTTOM,
        5: Image.Transpose.TRANSPOSE,
        6: Image.Transpose.ROTATE_270,
        7: Image.Transpose.TRANSVERSE,
        8: Image.Transpose.ROTATE_90,
    }
)
_LAID_DOWN = frozenset({5, 6, 7, 8})
"""Orientations whose turn makes the width of a picture its height."""
_PNG_TURNS = (b"eXIf", b"Raw profile type exif", b"XML:com.adobe.xmp")
"""What a PNG has in it that says an orientation."""


@dataclass(frozen=True)
class ImageLimits:
    """Limits of one picture, checked from its header before any pixel is decoded."""

    max_bytes: int = 64 * 1024 * 1024
    max_pixels: int = 64_000_000
    max_side: int = 16_384
    max_aspect: float = 16.0
    max_profile_bytes: int = 4 * 1024 * 1024


def load_image(
    path: Path,
    *,
    limits: ImageLimits,
    field: str = "image",
    matte: tuple[int, int, int] = DEFAULT_MATTE,
) -> Picture:
    """Decode a picture as uint8 [H, W, 3], upright, sRGB.

    The format is decided by content. EXIF orientation is applied, ICC profiles are converted to sRGB, 16-bit
    samples are scaled to 8, transparency is laid over `matte`. `field` is what messages call the picture.

    Raises `BadInput` for another kind of file, a damaged or truncated one, more than one frame, HDR or a
    colour space without a known way to sRGB, and anything beyond `limits`.
    """
    with _opened(path, limits, field) as (image, _):
        return _pixels(image, matte, field)


def image_size(path: Path, *, limits: ImageLimits, field: str = "image") -> tuple[int, int]:
    """Width and height that `load_image` will give, from the header.

    No pixel is decoded, but for a PNG whose metadata may turn it: they may lie behind its pixels.
    Raises `BadInput` for what the header shows to be illegal; damage further on is found by `load_image`.
    """
    with _opened(path, limits, field) as (image, data):
        width, height = image.size
        may_turn = image.format != "PNG" or any(mark in data for mark in _PNG_TURNS)
        return (height, width) if may_turn and _orientation(image) in _LAID_DOWN else (width, height)


@contextmanager
def _opened(path: Path, limits: ImageLimits, field: str) -> Iterator[tuple[ImageFile.ImageFile, bytes]]:
    """The picture, its header read and checked, and the file. What is raised meanwhile means damage."""
    data = _read(path, limits, field)
    kind = identify(data[:HEAD_BYTES])
    if kind not in _READERS:
        hint = "; save it as JPEG or PNG" if kind in (FileKind.HEIC, FileKind.JPEG_XL, FileKind.SVG) else ""
        raise BadInput(f"{field}: expected a picture, found {kind}{hint} ({_LEGAL})")
    if kind is FileKind.WEBP:
        _check_size(_webp_size(data), limits, field)
    if kind is FileKind.JPEG and scan_count(data) > MAX_SCANS:
        raise BadInput(f"{field}: {kind} with more than {MAX_SCANS} scans; save it anew")
    refuse_wide_colour(data, kind, field)
    with _decoding(kind, field), _READERS[kind](io.BytesIO(data)) as image:
        _check_size(image.size, limits, field)
        if getattr(image, "is_animated", False):
            raise BadInput(
                f"{field}: {kind} with more than one frame; send a single frame, for example as PNG"
            )
        _check_profile(image, limits, field)
        yield image, data


def _read(path: Path, limits: ImageLimits, field: str) -> bytes:
    with path.open("rb") as file:
        data = file.read(limits.max_bytes + 1)
    if len(data) > limits.max_bytes:
        raise BadInput(f"{field}: the file is larger than {limits.max_bytes} bytes, the most that is legal")
    return data


@contextmanager
def _decoding(kind: FileKind, field: str) -> Iterator[None]:
    """Whatever a decoder raises over a file of unknown origin means that the file is damaged."""
    try:
        yield
    except (HeadlessError, MemoryError):
        raise
    except Exception as error:
        raise BadInput(f"{field}: {kind} that is damaged or incomplete ({error})") from error


def _check_size(size: tuple[int, int], limits: ImageLimits, field: str) -> None:
    width, height = size
    found = f"{field}: the picture has {width}x{height} pixels"
    if min(size) < 1:
        raise BadInput(f"{found}; at least 1x1 is legal")
    if max(size) > limits.max_side or width * height > limits.max_pixels:
        raise BadInput(
            f"{found}; at most {limits.max_pixels} pixels and {limits.max_side} on a side are legal"
        )
    if max(size) > limits.max_aspect * min(size):
        raise BadInput(f"{found}; one side may be at most {limits.max_aspect:g} times the other")


def _webp_size(data: bytes) -> tuple[int, int]:
    """Canvas size from the header, since the decoder allocates the canvas as soon as it is opened.

    Source: RFC 9649, sections 2.5 to 2.7. An unknown first chunk has no size.
    """
    chunk = data[12:16]
    if chunk == b"VP8X":
        return 1 + int.from_bytes(data[24:27], "little"), 1 + int.from_bytes(data[27:30], "little")
    if chunk == b"VP8L":
        bits = int.from_bytes(data[21:25], "little")
        return 1 + (bits & 0x3FFF), 1 + ((bits >> 14) & 0x3FFF)
    if chunk == b"VP8 ":
        return int.from_bytes(data[26:28], "little") & 0x3FFF, int.from_bytes(data[28:30], "little") & 0x3FFF
    return 0, 0


def _check_profile(image: ImageFile.ImageFile, limits: ImageLimits, field: str) -> None:
    size = len(image.info.get("icc_profile") or b"")
    if size > limits.max_profile_bytes:
        raise BadInput(
            f"{field}: its colour profile has {size} bytes; at most {limits.max_profile_bytes} are legal; "
            "save the picture as sRGB"
        )


def _pixels(image: ImageFile.ImageFile, matte: tuple[int, int, int], field: str) -> Picture:
    turn = _TURNS.get(_orientation(image))
    image.load()
    upright = image if turn is None else image.transpose(turn)
    upright.info = image.info
    return np.array(to_srgb(upright, matte, field), dtype=np.uint8)


def _orientation(image: ImageFile.ImageFile) -> int:
    """EXIF orientation, 1 to 8. The TIFF reader applies it itself; EXIF that cannot be read has none."""
    if image.format == "TIFF":
        return 1
    try:
        return int(image.getexif().get(_ORIENTATION_TAG, 1))
    except Exception:
        return 1
