"""From whatever colours a picture has to 8-bit sRGB."""

from __future__ import annotations

import io
from collections.abc import Iterator

import numpy as np
from PIL import Image, ImageCms

from headless.errors import BadInput
from headless.media.file_kind import FileKind

DEFAULT_MATTE = (0, 0, 0)
"""What shows through transparent pixels: black, the colour of padding."""

_SIXTEEN_BIT = ("I;16", "I;16L", "I;16B", "I;16N")
_SRGB_PRIMARIES = (1, 2)
_SRGB_TRANSFERS = (1, 2, 6, 13)
_HDR_TRANSFERS = {16: "PQ", 18: "HLG"}
_PHOTOMETRIC_TAG = 262
_PROFILE_SPACES = {"L": "GRAY", "RGB": "RGB ", "CMYK": "CMYK"}


def to_srgb(image: Image.Image, matte: tuple[int, int, int], field: str) -> Image.Image:
    """A decoded picture of any mode as 8-bit RGB in sRGB, transparency laid over `matte`.

    An ICC profile is honoured (relative colorimetric, black point compensation); without one the values are
    taken as sRGB, and CMYK as its complement. Raises `BadInput` for floating point and 32-bit samples, for
    CIE Lab, and for a profile that is damaged or of another colour space.
    """
    colour, alpha = _split(image, field)
    profile = image.info.get("icc_profile")
    rgb = _by_profile(colour, profile, field) if profile else colour.convert("RGB")
    if alpha is None:
        return rgb
    return Image.composite(rgb, Image.new("RGB", rgb.size, matte), alpha)


def refuse_wide_colour(data: bytes, kind: FileKind, field: str) -> None:
    """Refuse HDR and wide-gamut coding that only numbers in the file declare (PNG cICP, AVIF nclx).

    The decoders ignore those numbers (ITU-T H.273 code points), so the colours would be wrong. Wide gamut
    with an ICC profile is fine and is not refused.
    """
    for primaries, transfer in _code_points(data, kind):
        if transfer in _HDR_TRANSFERS:
            raise BadInput(f"{field}: {kind} in HDR ({_HDR_TRANSFERS[transfer]}); save it as SDR, in sRGB")
        if primaries not in _SRGB_PRIMARIES or transfer not in _SRGB_TRANSFERS:
            raise BadInput(
                f"{field}: {kind} in a colour space other than sRGB and without an ICC profile "
                f"(primaries {primaries}, transfer {transfer}); save it as sRGB"
            )


def _code_points(data: bytes, kind: FileKind) -> Iterator[tuple[int, int]]:
    if kind is FileKind.PNG:
        yield from _png_code_points(data)
    if kind is FileKind.AVIF:
        at = data.find(b"colrnclx")
        while 0 <= at <= len(data) - 12:
            yield (
                int.from_bytes(data[at + 8 : at + 10], "big"),
                int.from_bytes(data[at + 10 : at + 12], "big"),
            )
            at = data.find(b"colrnclx", at + 8)


def _png_code_points(data: bytes) -> Iterator[tuple[int, int]]:
    at = 8
    while at + 12 <= len(data):
        name = data[at + 4 : at + 8]
        if name == b"cICP":
            yield data[at + 8], data[at + 9]
        if name in (b"cICP", b"IDAT"):
            return
        at += 12 + int.from_bytes(data[at : at + 4], "big")


def _split(image: Image.Image, field: str) -> tuple[Image.Image, Image.Image | None]:
    """Colour as L, RGB or CMYK, and alpha as L where there is any."""
    if image.mode in _SIXTEEN_BIT:
        return _from_sixteen_bit(image)
    if image.mode in ("LA", "La"):
        grey = image if image.mode == "LA" else image.convert("LA")
        return grey.getchannel("L"), grey.getchannel("A")
    if image.mode in ("RGBA", "RGBa", "PA") or "transparency" in image.info:
        full = image.convert("RGBA")
        return full.convert("RGB"), full.getchannel("A")
    if image.mode in ("1", "L"):
        return image.convert("L"), None
    if image.mode in ("P", "RGB", "RGBX", "YCbCr"):
        return image.convert("RGB"), None
    if image.mode == "CMYK":
        return image, None
    raise BadInput(
        f"{field}: its pixels are stored as {image.mode}, which is not legal; save it as 8-bit or 16-bit "
        "grey or RGB"
    )


def _from_sixteen_bit(image: Image.Image) -> tuple[Image.Image, Image.Image | None]:
    """Grey of 16 bits scaled to 8, rounded: 65535 becomes 255. TIFF may count from white."""
    samples = np.asarray(image).astype(np.uint32)
    alpha = None
    if "transparency" in image.info:
        alpha = Image.fromarray(np.where(samples == image.info["transparency"], 0, 255).astype(np.uint8))
    tags = getattr(image, "tag_v2", {})
    if tags.get(_PHOTOMETRIC_TAG) == 0:
        samples = 65535 - samples
    return Image.fromarray(((samples + 128) // 257).astype(np.uint8)), alpha


def _by_profile(colour: Image.Image, profile: bytes, field: str) -> Image.Image:
    try:
        source = ImageCms.ImageCmsProfile(io.BytesIO(profile))
        space = source.profile.xcolor_space
        if colour.mode == "L" and space == _PROFILE_SPACES["RGB"]:
            colour = colour.convert("RGB")
        if space != _PROFILE_SPACES[colour.mode]:
            raise BadInput(
                f"{field}: its pixels are {colour.mode} and its colour profile is for {space.strip()}; "
                "save it as sRGB"
            )
        transform = ImageCms.buildTransform(
            source,
            ImageCms.createProfile("sRGB"),
            colour.mode,
            "RGB",
            ImageCms.Intent.RELATIVE_COLORIMETRIC,
            ImageCms.Flags.BLACKPOINTCOMPENSATION,
        )
    except (ImageCms.PyCMSError, OSError) as error:
        raise BadInput(f"{field}: its colour profile is damaged ({error}); save it as sRGB") from error
    return transform.apply(colour)
