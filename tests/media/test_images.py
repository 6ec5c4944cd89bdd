from __future__ import annotations

import io
import struct
import zlib
from pathlib import Path

import numpy as np
import pytest
from PIL import AvifImagePlugin, Image, ImageFile, PngImagePlugin, WebPImagePlugin

from headless.errors import BadInput
from headless.media.images import ImageLimits, image_size, load_image
from headless.media.jpeg import scan_count
from headless.segment import Picture
from tests.media.profiles import cmyk_profile, grey_profile, rgb_profile

LIMITS = ImageLimits()
ORIENTATION = 0x0112


def pattern(width: int = 48, height: int = 32) -> Picture:
    """Four corners of four colours, larger at the top left, so that no turn or flip looks like another."""
    picture = np.zeros((height, width, 3), np.uint8)
    picture[: height // 2, : width // 2] = (255, 0, 0)
    picture[: height // 2, width // 2 :] = (0, 255, 0)
    picture[height // 2 :, : width // 2] = (0, 0, 255)
    picture[height // 2 :, width // 2 :] = (255, 255, 255)
    return picture


def load(path: Path, limits: ImageLimits = LIMITS) -> Picture:
    return load_image(path, limits=limits, field="start_image")


def saved(folder: Path, image: Image.Image, kind: str, **options: object) -> Path:
    path = folder / "input"
    image.save(path, format=kind, **options)
    return path


def written(folder: Path, data: bytes) -> Path:
    path = folder / "input.png"
    path.write_bytes(data)
    return path


def png(
    *chunks: tuple[bytes, bytes], size: tuple[int, int] = (1, 1), head: bytes = b"\x08\x02\0\0\0"
) -> bytes:
    """A PNG of any header and chunks, with good checksums and one black pixel per row."""
    row = b"\0" + bytes(size[0] * 3)
    parts = [
        (b"IHDR", struct.pack(">II", *size) + head),
        *chunks,
        (b"IDAT", zlib.compress(row * min(size[1], 8))),
        (b"IEND", b""),
    ]
    body = b"".join(
        struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))
        for name, data in parts
    )
    return b"\x89PNG\r\n\x1a\n" + body


@pytest.mark.parametrize(
    ("kind", "options"),
    [
        ("PNG", {}),
        ("JPEG", {"quality": 95, "subsampling": 0}),
        ("WEBP", {"lossless": True}),
        ("WEBP", {"quality": 95}),
        ("BMP", {}),
        ("TIFF", {}),
        ("TIFF", {"compression": "tiff_lzw"}),
        ("GIF", {}),
        ("AVIF", {"quality": 95}),
    ],
)
def test_every_legal_format_is_read_by_content(kind: str, options: dict[str, object], tmp_path: Path) -> None:
    picture = load(saved(tmp_path, Image.fromarray(pattern()), kind, **options))
    assert picture.dtype == np.uint8
    assert picture.shape == (32, 48, 3)
    assert picture.flags.writeable
    error = np.abs(picture.astype(int) - pattern())[4:12, 4:20]
    assert error.max() <= 12


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize(
    ("kind", "options"),
    [
        ("PNG", {}),
        ("JPEG", {"quality": 95, "subsampling": 0}),
        ("WEBP", {"lossless": True}),
        ("TIFF", {}),
        ("TIFF", {"compression": "tiff_lzw"}),
        ("AVIF", {"quality": 95, "subsampling": "4:4:4"}),
    ],
)
def test_every_exif_orientation_comes_out_upright(
    kind: str, options: dict[str, object], orientation: int, tmp_path: Path
) -> None:
    """The file holds the pattern turned away; EXIF 2.32, tag 274, says how rows and columns lie."""
    upright = pattern()
    stored = {
        1: upright,
        2: upright[:, ::-1],
        3: upright[::-1, ::-1],
        4: upright[::-1],
        5: upright.transpose(1, 0, 2),
        6: upright.transpose(1, 0, 2)[::-1],
        7: upright.transpose(1, 0, 2)[::-1, ::-1],
        8: upright.transpose(1, 0, 2)[:, ::-1],
    }[orientation]
    exif = Image.Exif()
    exif[ORIENTATION] = orientation
    path = saved(tmp_path, Image.fromarray(np.ascontiguousarray(stored)), kind, exif=exif, **options)
    picture = load(path)
    assert picture.shape == upright.shape
    assert image_size(path, limits=LIMITS) == (48, 32)
    for rows in (slice(4, 12), slice(20, 28)):
        for columns in (slice(4, 20), slice(28, 44)):
            difference = picture[rows, columns].astype(int) - upright[rows, columns]
            assert np.abs(difference).max() <= 12


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "WEBP", "BMP", "TIFF", "GIF", "AVIF"])
def test_the_size_is_known_without_a_pixel(
    kind: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = saved(tmp_path, Image.fromarray(pattern()), kind)

    def decode(image: Image.Image) -> None:
        raise AssertionError("decoded")

    with monkeypatch.context() as patch:
        for reader in (ImageFile.ImageFile, WebPImagePlugin.WebPImageFile, AvifImagePlugin.AvifImageFile):
            patch.setattr(reader, "load", decode)
        assert image_size(path, limits=LIMITS) == (48, 32)
        with pytest.raises(BadInput, match="decoded"):
            load(path)


def test_the_size_of_a_picture_that_is_turned_behind_its_pixels(tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[ORIENTATION] = 6
    data = saved(tmp_path, Image.fromarray(pattern()), "PNG", exif=exif).read_bytes()
    start = data.index(b"eXIf") - 4
    end = start + 12 + int.from_bytes(data[start : start + 4], "big")
    late = written(tmp_path, data[:start] + data[end:-12] + data[start:end] + data[-12:])
    assert load(late).shape == (48, 32, 3)
    assert image_size(late, limits=LIMITS) == (32, 48)


def test_the_size_is_refused_as_the_picture_is(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match="anchor_image: the picture has 9000x9000 pixels; at most"):
        image_size(written(tmp_path, png(size=(9000, 9000))), limits=LIMITS, field="anchor_image")
    with pytest.raises(BadInput, match="image: expected a picture, found text"):
        image_size(written(tmp_path, b"no picture"), limits=LIMITS)
    whole = saved(tmp_path, Image.effect_noise((64, 64), 90), "PNG").read_bytes()
    damaged = written(tmp_path, whole[: len(whole) // 2])
    assert image_size(damaged, limits=LIMITS) == (64, 64)
    with pytest.raises(BadInput, match="damaged"):
        load(damaged)


def test_damaged_exif_means_upright(tmp_path: Path) -> None:
    path = saved(tmp_path, Image.fromarray(pattern()), "PNG", exif=b"Exif\0\0MM\0*\xff\xff\xff\xff")
    assert np.array_equal(load(path), pattern())


def test_orientation_means_upright_where_it_is_out_of_range(tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[ORIENTATION] = 9
    assert np.array_equal(load(saved(tmp_path, Image.fromarray(pattern()), "PNG", exif=exif)), pattern())


def test_transparency_is_laid_over_black_or_a_given_colour(tmp_path: Path) -> None:
    rgba = np.zeros((2, 3, 4), np.uint8)
    rgba[0] = (200, 100, 50, 255)
    rgba[1] = (200, 100, 50, 0)
    rgba[1, 1] = (200, 100, 50, 128)
    path = saved(tmp_path, Image.fromarray(rgba), "PNG")
    picture = load(path)
    assert picture[0].tolist() == [[200, 100, 50]] * 3
    assert picture[1].tolist() == [[0, 0, 0], [100, 50, 25], [0, 0, 0]]
    white = load_image(path, limits=LIMITS, matte=(255, 255, 255))
    assert white[1, 0].tolist() == [255, 255, 255]


@pytest.mark.parametrize("kind", ["PNG", "WEBP", "TIFF", "AVIF"])
def test_alpha_of_every_format_is_laid_over(kind: str, tmp_path: Path) -> None:
    rgba = np.full((16, 16, 4), (250, 250, 250, 0), np.uint8)
    assert load(saved(tmp_path, Image.fromarray(rgba), kind)).max() == 0


def test_grey_with_alpha(tmp_path: Path) -> None:
    image = Image.fromarray(np.array([[[200, 255], [200, 0]]], np.uint8), "LA")
    assert load(saved(tmp_path, image, "PNG")).tolist() == [[[200] * 3, [0] * 3]]


def test_palettes_with_and_without_transparency(tmp_path: Path) -> None:
    image = Image.new("P", (2, 1))
    image.putpalette([10, 20, 30, 40, 50, 60])
    image.putpixel((1, 0), 1)
    assert load(saved(tmp_path, image, "PNG")).tolist() == [[[10, 20, 30], [40, 50, 60]]]
    assert load(saved(tmp_path, image, "PNG", transparency=1)).tolist() == [[[10, 20, 30], [0, 0, 0]]]
    assert load(saved(tmp_path, image, "GIF", transparency=0)).tolist() == [[[0, 0, 0], [40, 50, 60]]]


def test_one_bit(tmp_path: Path) -> None:
    image = Image.fromarray(np.array([[0, 255, 255, 0]], np.uint8)).convert("1")
    for kind in ("PNG", "TIFF", "BMP"):
        assert load(saved(tmp_path, image, kind))[0, :, 0].tolist() == [0, 255, 255, 0]


def test_sixteen_bit_grey_is_scaled(tmp_path: Path) -> None:
    values = [0, 128, 129, 257, 32768, 65278, 65535]
    image = Image.fromarray(np.array([values], np.uint16))
    for kind in ("PNG", "TIFF"):
        assert load(saved(tmp_path, image, kind))[0, :, 1].tolist() == [0, 0, 1, 1, 128, 254, 255]


def test_sixteen_bit_grey_may_count_from_white(tmp_path: Path) -> None:
    image = Image.fromarray(np.array([[0, 65535]], np.uint16))
    path = saved(tmp_path, image, "TIFF", tiffinfo={262: 0})
    assert load(path)[0, :, 0].tolist() == [255, 0]


def test_sixteen_bit_grey_with_a_transparent_value(tmp_path: Path) -> None:
    row = b"\0" + struct.pack(">2H", 40000, 50000)
    data = png((b"tRNS", struct.pack(">H", 40000)), size=(2, 1), head=b"\x10\0\0\0\0")
    data = png_with_idat(data, row)
    assert load(written(tmp_path, data))[0, :, 0].tolist() == [0, 195]


def png_with_idat(data: bytes, rows: bytes) -> bytes:
    """The same PNG with other pixel rows."""
    at = data.index(b"IDAT") - 4
    body = b"IDAT" + zlib.compress(rows)
    chunk = struct.pack(">I", len(body) - 4) + body + struct.pack(">I", zlib.crc32(body))
    return data[:at] + chunk + png().split(b"IDAT")[1][-12:]


def test_sixteen_bit_rgb_is_scaled(tmp_path: Path) -> None:
    row = b"\0" + struct.pack(">6H", 65535, 32896, 0, 256, 511, 512)
    data = png_with_idat(png(size=(2, 1), head=b"\x10\x02\0\0\0"), row)
    assert load(written(tmp_path, data)).tolist() == [[[255, 128, 0], [1, 1, 2]]]


def test_cmyk_without_a_profile_is_its_complement(tmp_path: Path) -> None:
    image = Image.new("CMYK", (16, 16), (0, 255, 255, 0))
    for kind, options in (("JPEG", {"quality": 100}), ("TIFF", {})):
        assert np.abs(load(saved(tmp_path, image, kind, **options)).astype(int) - (255, 0, 0)).max() <= 2


@pytest.mark.parametrize(("kind", "options"), [("JPEG", {"quality": 100}), ("TIFF", {})])
def test_cmyk_goes_through_its_profile(kind: str, options: dict[str, object], tmp_path: Path) -> None:
    """The profile makes full black ink a mid grey (L* 53.3, 127 in sRGB); the complement would be black."""
    profile = cmyk_profile(black_ink=(136, 128, 128))
    for ink, grey in ((255, 127), (0, 255)):
        image = Image.new("CMYK", (16, 16), (0, 0, 0, ink))
        picture = load(saved(tmp_path, image, kind, icc_profile=profile, **options))
        assert np.abs(picture.astype(int) - grey).max() <= 3


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "WEBP", "TIFF", "AVIF"])
def test_a_profile_is_converted_to_srgb(kind: str, tmp_path: Path) -> None:
    """Display P3 (200, 100, 100), gamma 2.2, is about (214, 95, 97) in sRGB."""
    image = Image.new("RGB", (16, 16), (200, 100, 100))
    plain = load(saved(tmp_path, image, kind))[8, 8].astype(int)
    picture = load(saved(tmp_path, image, kind, icc_profile=rgb_profile()))[8, 8].astype(int)
    assert np.abs(plain - (200, 100, 100)).max() <= 4
    assert picture[0] > plain[0] + 8
    assert picture[1] < plain[1] - 2


def test_a_profile_leaves_transparency_alone(tmp_path: Path) -> None:
    image = Image.new("RGBA", (2, 1), (200, 100, 100, 255))
    image.putpixel((1, 0), (200, 100, 100, 0))
    picture = load(saved(tmp_path, image, "PNG", icc_profile=rgb_profile()))
    assert picture[0, 0, 0] > 208
    assert picture[0, 1].tolist() == [0, 0, 0]


def test_grey_goes_through_its_profile(tmp_path: Path) -> None:
    """Linear light 0.5 is about 188 in sRGB."""
    image = Image.new("L", (4, 4), 128)
    picture = load(saved(tmp_path, image, "PNG", icc_profile=grey_profile(1.0)))
    assert np.abs(picture.astype(int) - 188).max() <= 2
    assert load(saved(tmp_path, image, "PNG", icc_profile=rgb_profile(gamma=1.0))).min() > 180


@pytest.mark.parametrize("profile", [b"not a profile", rgb_profile()[:200], grey_profile(2.2)])
def test_a_profile_that_cannot_be_honoured_is_refused(profile: bytes, tmp_path: Path) -> None:
    path = saved(tmp_path, Image.fromarray(pattern()), "PNG", icc_profile=profile)
    with pytest.raises(BadInput, match=r"^start_image: .*colour profile .*save it as sRGB"):
        load(path)


def test_a_huge_profile_is_refused(tmp_path: Path) -> None:
    path = saved(tmp_path, Image.fromarray(pattern()), "TIFF", icc_profile=rgb_profile() + bytes(5_000_000))
    with pytest.raises(BadInput, match=r"colour profile has 50.* bytes; at most 4194304"):
        load(path)


@pytest.mark.parametrize("chunk", [b"zTXt", b"iTXt", b"iCCP"])
def test_compressed_bombs_are_refused(chunk: bytes, tmp_path: Path) -> None:
    bomb = zlib.compress(bytes(200_000_000), 9)
    text = {b"zTXt": b"k\0\0", b"iTXt": b"k\0\1\0\0\0", b"iCCP": b"k\0\0"}[chunk] + bomb
    with pytest.raises(BadInput, match="damaged or incomplete"):
        load(written(tmp_path, png((chunk, text))))


@pytest.mark.parametrize(
    ("data", "found"),
    [
        (b"", "an empty file"),
        (b"This is not a picture.\n", "text"),
        ("Grüße".encode("utf-16"), "text"),
        ("Grüße".encode("latin-1"), "text"),
        (b"<!DOCTYPE html><html>404</html>", "an HTML page"),
        (b'{"error":"not found"}', "JSON text"),
        (b'<?xml version="1.0"?><!DOCTYPE svg [<!ENTITY x SYSTEM "file:///etc/x">]><svg>&x;</svg>', "an SVG"),
        (b'\xef\xbb\xbf<svg xmlns="x"><image href="http://127.0.0.1/"/></svg>', "an SVG drawing; save it as"),
        (b"<MPD></MPD>", "a DASH manifest"),
        (b"<note/>", "text"),
        (b"%PDF-1.7", "a PDF document"),
        (b"PK\3\4", "an archive"),
        (b"\0\0\0\x18ftypheic\0\0\0\0mif1heic", "a HEIC picture; save it as JPEG or PNG"),
        (b"\0\0\0\x18ftypisom\0\0\0\0isomavc1", "an MP4 or QuickTime file"),
        (b"\0\0\0\x08moov", "an MP4 or QuickTime file"),
        (b"RIFF\0\0\0\0WAVEfmt ", "an audio file"),
        (b"XXXX\0\0\0\0WEBP", "data of an unknown kind"),
        (b"G" + bytes(187) + b"G", "an MPEG stream"),
        (b"\x7f" + bytes(187) + b"G", "data of an unknown kind"),
        (b"\x7fELF\2\1\1", "data of an unknown kind"),
        (b"v/1\x01", "an OpenEXR picture"),
        (b"%!PS-Adobe-3.0 EPSF-3.0", "text"),
        (b"P6 1 1 255 \0\0\0", "data of an unknown kind"),
    ],
)  # fmt: skip
def test_other_files_are_refused_with_what_was_found_and_what_is_legal(
    data: bytes, found: str, tmp_path: Path
) -> None:
    with pytest.raises(BadInput) as caught:
        load(written(tmp_path, data))
    assert caught.value.message.startswith(f"start_image: expected a picture, found {found}")
    assert "PNG, JPEG, WebP, BMP, TIFF, GIF and AVIF pictures are legal" in caught.value.message


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "WEBP", "BMP", "TIFF", "GIF", "AVIF"])
@pytest.mark.parametrize("share", [0.1, 0.5, 0.9])
def test_truncated_pictures_are_refused(kind: str, share: float, tmp_path: Path) -> None:
    rng = np.random.default_rng(1)
    image = Image.fromarray(rng.integers(0, 256, (64, 64, 3), dtype=np.uint8))
    path = saved(tmp_path, image, kind)
    data = path.read_bytes()
    with pytest.raises(BadInput, match=r"^start_image: "):
        load(written(tmp_path, data[: int(len(data) * share)]))


def test_a_truncated_progressive_jpeg_is_refused(tmp_path: Path) -> None:
    path = saved(tmp_path, Image.fromarray(pattern()).resize((256, 256)), "JPEG", progressive=True)
    with pytest.raises(BadInput, match="damaged or incomplete"):
        load(written(tmp_path, path.read_bytes()[:-200]))


def test_a_wrong_checksum_is_refused(tmp_path: Path) -> None:
    data = bytearray(png())
    data[data.index(b"IHDR") + 12] ^= 0xFF
    with pytest.raises(BadInput, match="damaged or incomplete"):
        load(written(tmp_path, bytes(data)))


def test_bytes_after_a_picture_are_not_looked_at(tmp_path: Path) -> None:
    path = saved(tmp_path, Image.fromarray(pattern()), "JPEG", quality=95)
    clean = load(path)
    assert np.array_equal(load(written(tmp_path, path.read_bytes() + b"PK\3\4 archive")), clean)


@pytest.mark.parametrize("kind", ["GIF", "WEBP", "PNG", "TIFF", "AVIF"])
def test_more_than_one_frame_is_refused(kind: str, tmp_path: Path) -> None:
    frames = [Image.new("RGB", (16, 16), (shade, 0, 0)) for shade in (10, 200, 90)]
    path = saved(tmp_path, frames[0], kind, save_all=True, append_images=frames[1:])
    with pytest.raises(BadInput, match=r"^start_image: .* with more than one frame; send a single frame"):
        load(path)


def test_a_jpeg_with_a_second_picture_shows_the_first(tmp_path: Path) -> None:
    """Phones append a gain map or a depth picture (MPO)."""
    first, second = Image.fromarray(pattern()), Image.new("RGB", (8, 8))
    picture = load(saved(tmp_path, first, "MPO", save_all=True, append_images=[second], quality=95))
    assert picture.shape == (32, 48, 3)


@pytest.mark.parametrize("size", [(60_000, 60_000), (60_000, 2), (2**31 - 1, 2**31 - 1), (9000, 9000)])
def test_a_huge_picture_is_refused_from_its_header(size: tuple[int, int], tmp_path: Path) -> None:
    with pytest.raises(BadInput, match=rf"has {size[0]}x{size[1]} pixels; at most 64000000 pixels and 16384"):
        load(written(tmp_path, png(size=size) if size[0] < 10**6 else png_header(size)))


def png_header(size: tuple[int, int]) -> bytes:
    data = b"IHDR" + struct.pack(">II", *size) + b"\x08\x02\0\0\0"
    return (
        b"\x89PNG\r\n\x1a\n" + struct.pack(">I", 13) + data + struct.pack(">I", zlib.crc32(data)) + png()[33:]
    )


@pytest.mark.parametrize(
    "head",
    [
        b"VP8X" + struct.pack("<I", 10) + bytes(4) + b"\xff\x3f\0\xff\x3f\0",
        b"VP8L" + struct.pack("<I", 10) + b"\x2f" + (0x3FFF | 0x3FFF << 14).to_bytes(4, "little") + bytes(5),
        b"VP8 " + struct.pack("<I", 10) + bytes(3) + b"\x9d\x01\x2a" + b"\xff\x3f\xff\x3f",
    ],
)
def test_a_huge_webp_is_refused_before_its_canvas_is_allocated(head: bytes, tmp_path: Path) -> None:
    data = b"RIFF" + struct.pack("<I", 4 + len(head)) + b"WEBP" + head
    with pytest.raises(BadInput, match=r"has 1638[34]x1638[34] pixels"):
        load(written(tmp_path, data))


def test_a_webp_without_a_picture_is_refused(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match="at least 1x1 is legal"):
        load(written(tmp_path, b"RIFF\x0c\0\0\0WEBPXXXX\0\0\0\0"))


def test_a_gif_frame_larger_than_its_screen_is_measured(tmp_path: Path) -> None:
    data = b"GIF89a\1\0\1\0\x80\0\0" + bytes(6) + b",\0\0\0\0\xff\xff\xff\xff\0\2\2\x4c\1\0;"
    with pytest.raises(BadInput, match=r"at most 64000000 pixels|exceeds limit"):
        load(written(tmp_path, data))


def test_limits_on_bytes_and_shape(tmp_path: Path) -> None:
    path = saved(tmp_path, Image.fromarray(pattern(64, 4)), "PNG")
    assert load(path, ImageLimits(max_bytes=path.stat().st_size)).shape == (4, 64, 3)
    with pytest.raises(BadInput, match="is larger than 50 bytes"):
        load(path, ImageLimits(max_bytes=50))
    with pytest.raises(BadInput, match="at most 255 pixels"):
        load(path, ImageLimits(max_pixels=255))
    with pytest.raises(BadInput, match="one side may be at most 15 times the other"):
        load(path, ImageLimits(max_aspect=15))
    with pytest.raises(BadInput, match="1x20000 pixels"):
        load(saved(tmp_path, Image.new("L", (1, 20_000)), "PNG"))


def test_a_single_pixel_is_legal(tmp_path: Path) -> None:
    assert load(saved(tmp_path, Image.new("RGB", (1, 1), (1, 2, 3)), "PNG")).tolist() == [[[1, 2, 3]]]


@pytest.mark.parametrize(
    ("points", "message"),
    [
        (bytes([9, 16, 0, 1]), r"HDR \(PQ\)"),
        (bytes([9, 18, 0, 1]), r"HDR \(HLG\)"),
        (bytes([12, 13, 0, 1]), "primaries 12, transfer 13"),
        (bytes([1, 8, 0, 1]), "transfer 8"),
    ],
)
def test_hdr_and_wide_gamut_without_a_profile_are_refused(
    points: bytes, message: str, tmp_path: Path
) -> None:
    with pytest.raises(BadInput, match=message):
        load(written(tmp_path, png((b"cICP", points))))
    avif = saved(tmp_path, Image.fromarray(pattern()), "AVIF").read_bytes()
    at = avif.index(b"colrnclx") + 8
    tagged = avif[:at] + struct.pack(">HH", points[0], points[1]) + avif[at + 4 :]
    with pytest.raises(BadInput, match=message):
        load(written(tmp_path, tagged))


def test_srgb_code_points_are_legal(tmp_path: Path) -> None:
    assert load(written(tmp_path, png((b"gAMA", bytes(4)), (b"cICP", bytes([1, 13, 0, 1]))))).shape == (
        1,
        1,
        3,
    )


@pytest.mark.parametrize("mode", ["F", "I"])
def test_floating_point_and_32_bit_pictures_are_refused(mode: str, tmp_path: Path) -> None:
    path = saved(tmp_path, Image.new(mode, (4, 4)), "TIFF")
    with pytest.raises(BadInput, match=f"stored as {mode}, which is not legal; save it as 8-bit or 16-bit"):
        load(path)


def test_lab_is_refused(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match="stored as LAB"):
        load(saved(tmp_path, Image.new("LAB", (4, 4)), "TIFF"))


def test_premultiplied_alpha_is_undone(tmp_path: Path) -> None:
    image = Image.new("RGBA", (1, 1), (100, 50, 25, 128))
    data = saved(tmp_path, image, "TIFF").read_bytes()
    extra_samples = struct.pack("<HHI", 338, 3, 1)
    assert data.count(extra_samples + b"\2") == 1
    path = written(tmp_path, data.replace(extra_samples + b"\2", extra_samples + b"\1"))
    assert np.abs(load(path).astype(int) - (100, 50, 25)).max() <= 1


def _progressive(more_scans: int, folder: Path) -> Path:
    """A progressive JPEG whose last scan, a hundred bytes for a walk over all pixels, is repeated."""
    whole = io.BytesIO()
    Image.fromarray(np.random.default_rng(0).integers(0, 255, (64, 64, 3), np.uint8)).save(
        whole, "JPEG", progressive=True
    )
    data = whole.getvalue()
    last, end = data.rfind(b"\xff\xda"), len(data) - 2
    path = folder / "a.jpg"
    path.write_bytes(data[:end] + data[last:end] * more_scans + data[end:])
    return path


def test_a_jpeg_of_endless_scans_is_refused(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match="more than 100 scans"):
        load_image(_progressive(100, tmp_path), limits=ImageLimits())


def test_scans_are_those_of_the_picture_itself(tmp_path: Path) -> None:
    path = _progressive(0, tmp_path)
    data = path.read_bytes()
    own = scan_count(data)
    assert 5 < own < 20
    assert scan_count(data + b"\xff\xda" * 200) == own, "what follows the end of the picture is not looked at"
    comment = b"\xff\xfe" + (2 + 400).to_bytes(2, "big") + b"\xff\xda" * 200
    assert scan_count(data[:2] + comment + data[2:]) == own, "nor is what comments hold"
    assert scan_count(data[:-2]) == own, "the end may be missing"
    assert scan_count(b"\xff\xd8") == scan_count(b"\xff\xd8\xff\xda") - 1 == 0
    path.write_bytes(data[:2] + comment + data[2:])
    assert load_image(path, limits=ImageLimits()).shape == (64, 64, 3)


def test_the_process_wide_settings_of_pillow_are_left_alone(tmp_path: Path) -> None:
    before = (Image.MAX_IMAGE_PIXELS, PngImagePlugin.MAX_TEXT_CHUNK)
    load(saved(tmp_path, Image.fromarray(pattern()), "PNG"))
    assert before == (Image.MAX_IMAGE_PIXELS, PngImagePlugin.MAX_TEXT_CHUNK)


def test_location_data_does_not_survive(tmp_path: Path) -> None:
    exif = Image.Exif()
    exif.get_ifd(0x8825)[2] = (48.0, 8.0, 15.0)
    picture = load(saved(tmp_path, Image.fromarray(pattern()), "JPEG", exif=exif))
    out = io.BytesIO()
    Image.fromarray(picture).save(out, "JPEG")
    assert b"Exif" not in out.getvalue()
