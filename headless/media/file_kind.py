"""What a file is, by its first bytes. Names and content types are never believed."""

from __future__ import annotations

import codecs
from enum import StrEnum

HEAD_BYTES = 4096
"""How much of a file `identify` wants to see."""


class FileKind(StrEnum):
    """Kinds of files that users send, in the words that messages use."""

    PNG = "a PNG picture"
    JPEG = "a JPEG picture"
    WEBP = "a WebP picture"
    BMP = "a BMP picture"
    TIFF = "a TIFF picture"
    GIF = "a GIF picture"
    AVIF = "an AVIF picture"
    HEIC = "a HEIC picture"
    JPEG_XL = "a JPEG XL picture"
    JPEG_2000 = "a JPEG 2000 picture"
    PSD = "a Photoshop file"
    EXR = "an OpenEXR picture (HDR)"
    RADIANCE = "a Radiance picture (HDR)"
    SVG = "an SVG drawing"
    MP4 = "an MP4 or QuickTime file"
    MATROSKA = "a WebM or Matroska file"
    AVI = "an AVI video"
    MPEG = "an MPEG stream"
    FLASH_VIDEO = "a Flash video"
    AUDIO = "an audio file"
    HLS = "an HLS playlist"
    CONCAT = "an FFmpeg concat script"
    SDP = "an SDP session description"
    DASH = "a DASH manifest"
    HTML = "an HTML page"
    JSON = "JSON text"
    TEXT = "text"
    PDF = "a PDF document"
    ARCHIVE = "an archive"
    EMPTY = "an empty file"
    UNKNOWN = "data of an unknown kind"


_MAGIC: tuple[tuple[int, bytes, FileKind], ...] = (
    (0, b"\x89PNG\r\n\x1a\n", FileKind.PNG),
    (0, b"\xff\xd8\xff", FileKind.JPEG),
    (8, b"WEBP", FileKind.WEBP),
    (0, b"GIF87a", FileKind.GIF),
    (0, b"GIF89a", FileKind.GIF),
    (0, b"II*\x00", FileKind.TIFF),
    (0, b"MM\x00*", FileKind.TIFF),
    (0, b"BM", FileKind.BMP),
    (0, b"\xff\x0a", FileKind.JPEG_XL),
    (4, b"JXL ", FileKind.JPEG_XL),
    (4, b"jP  \r\n\x87\n", FileKind.JPEG_2000),
    (0, b"8BPS", FileKind.PSD),
    (0, b"v/1\x01", FileKind.EXR),
    (0, b"#?RADIANCE", FileKind.RADIANCE),
    (0, b"\x1aE\xdf\xa3", FileKind.MATROSKA),
    (8, b"AVI ", FileKind.AVI),
    (8, b"WAVE", FileKind.AUDIO),
    (0, b"\x00\x00\x01\xba", FileKind.MPEG),
    (0, b"\x00\x00\x01\xb3", FileKind.MPEG),
    (188, b"G", FileKind.MPEG),
    (0, b"FLV\x01", FileKind.FLASH_VIDEO),
    (0, b"OggS", FileKind.AUDIO),
    (0, b"ID3", FileKind.AUDIO),
    (0, b"fLaC", FileKind.AUDIO),
    (0, b"%PDF-", FileKind.PDF),
    (0, b"PK\x03\x04", FileKind.ARCHIVE),
    (0, b"\x1f\x8b", FileKind.ARCHIVE),
    (0, b"7z\xbc\xaf", FileKind.ARCHIVE),
)
_RIFF = frozenset({FileKind.WEBP, FileKind.AVI, FileKind.AUDIO})
_MP4_BOXES = frozenset({b"ftyp", b"moov", b"mdat", b"free", b"skip", b"wide", b"styp"})
_AVIF_BRANDS = frozenset({b"avif", b"avis"})
_HEIF_BRANDS = frozenset({b"heic", b"heix", b"hevc", b"hevx", b"heim", b"heis", b"mif1", b"msf1"})


def identify(head: bytes) -> FileKind:
    """The kind of a file whose first `HEAD_BYTES` bytes (or all of it, if shorter) are `head`."""
    if not head:
        return FileKind.EMPTY
    for offset, magic, kind in _MAGIC:
        if head[offset : offset + len(magic)] != magic:
            continue
        if offset == 8 and kind in _RIFF and head[:4] != b"RIFF":
            continue
        if offset == 188 and head[:1] != b"G":
            continue
        return kind
    return _of_boxes(head) or _of_text(head) or FileKind.UNKNOWN


def _of_boxes(head: bytes) -> FileKind | None:
    """ISO base media files: the brands tell stills from movies."""
    if head[4:8] not in _MP4_BOXES:
        return None
    if head[4:8] != b"ftyp":
        return FileKind.MP4
    end = min(int.from_bytes(head[:4], "big"), len(head))
    brands = [head[8:12], *(head[at : at + 4] for at in range(16, end, 4))]
    if _AVIF_BRANDS & set(brands):
        return FileKind.AVIF
    return FileKind.HEIC if brands[0] in _HEIF_BRANDS else FileKind.MP4


def _of_text(head: bytes) -> FileKind | None:
    text = _decoded(head)
    if text is None:
        return None
    start = text.lstrip("\ufeff \t\r\n").lower()
    for kind, openings in (
        (FileKind.HLS, ("#extm3u",)),
        (FileKind.CONCAT, ("ffconcat",)),
        (FileKind.SDP, ("v=0",)),
        (FileKind.HTML, ("<!doctype html", "<html", "<head", "<body")),
        (FileKind.JSON, ("{", "[")),
    ):
        if start.startswith(openings):
            return kind
    if start.startswith("<"):
        return FileKind.DASH if "<mpd" in start else FileKind.SVG if "<svg" in start else FileKind.TEXT
    return FileKind.TEXT


def _decoded(head: bytes) -> str | None:
    encodings = (
        ("utf-16",) if head[:2] in (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE) else ("utf-8", "latin-1")
    )
    for encoding in encodings:
        try:
            text = codecs.getincrementaldecoder(encoding)().decode(head)
        except UnicodeDecodeError:
            continue
        if all(letter.isprintable() or letter in "\ufeff\t\r\n\f" for letter in text):
            return text
    return None
