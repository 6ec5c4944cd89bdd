from __future__ import annotations

import io
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from headless.media.contact_sheet import Labelled, contact_sheet, write_contact_sheet
from headless.media.images import ImageLimits, load_image
from headless.media.stills import preview_webp, write_poster, write_preview
from headless.segment import Picture
from tests.media.own_process import run_program

LIMITS = ImageLimits()


def flat(colour: tuple[int, int, int], width: int = 64, height: int = 48) -> Picture:
    return np.full((height, width, 3), colour, np.uint8)


@pytest.mark.parametrize(("name", "kind"), [("p.webp", "WEBP"), ("p.jpg", "JPEG"), ("p.PNG", "PNG")])
def test_a_poster_has_the_format_of_its_suffix_and_nothing_but_pixels(
    name: str, kind: str, tmp_path: Path
) -> None:
    path = tmp_path / "out" / name
    write_poster(flat((200, 100, 50)), path)
    assert np.abs(load_image(path, limits=LIMITS).astype(int) - (200, 100, 50)).max() <= 4
    with Image.open(path) as image:
        assert image.format == kind
        assert not {"exif", "icc_profile", "comment"} & set(image.info)
    assert [file.name for file in path.parent.iterdir()] == [name]


def test_views_of_frames_are_written_as_they_look(tmp_path: Path) -> None:
    picture = flat((0, 0, 0))
    picture[:, :32] = 255
    write_poster(picture[:, ::-1], tmp_path / "p.png")
    assert load_image(tmp_path / "p.png", limits=LIMITS)[0, 0].tolist() == [0, 0, 0]


def test_another_suffix_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"poster\.gif is no picture file; legal suffixes are \.webp"):
        write_poster(flat((0, 0, 0)), tmp_path / "poster.gif")


@pytest.mark.parametrize(("size", "expected"), [((832, 480), (512, 295)), ((60, 104), (60, 104))])
def test_previews_are_small(size: tuple[int, int], expected: tuple[int, int], tmp_path: Path) -> None:
    data = preview_webp(flat((10, 200, 30), *size))
    assert len(data) < 4000
    with Image.open(io.BytesIO(data)) as image:
        assert (image.format, image.size) == ("WEBP", expected)
    write_preview(flat((10, 200, 30), *size), tmp_path / "preview.webp")
    assert (tmp_path / "preview.webp").read_bytes() == data


def test_a_full_disk_leaves_no_poster(tmp_path: Path) -> None:
    program = """
        import resource, sys
        from pathlib import Path
        import numpy as np
        from headless.errors import DiskFull
        from headless.media.stills import write_poster
        resource.setrlimit(resource.RLIMIT_FSIZE, (10, 10))
        try:
            write_poster(np.zeros((64, 64, 3), np.uint8), Path(sys.argv[1]))
        except DiskFull as error:
            print(error.message)
        """
    folder = tmp_path / "out"
    assert run_program(program, folder / "poster.png").startswith("no room to write poster.png")
    assert list(folder.iterdir()) == []


def cells(count: int, width: int = 128, height: int = 128) -> list[Labelled]:
    frames = [
        Labelled(f"frame {index}", flat((40 + 20 * index, 0, 0), width, height)) for index in range(count)
    ]
    return [Labelled("given start", flat((0, 255, 0), width, height), given=True), *frames]


def has(sheet: Picture, colour: tuple[int, int, int]) -> int:
    """How many pixels have that colour."""
    return int((np.abs(sheet.astype(int) - colour).max(axis=-1) <= 2).sum())


def test_every_picture_is_on_the_sheet_at_a_readable_size() -> None:
    sheet = contact_sheet(cells(6), title="wan_tiny_i2v · seed 1 · 128x128")
    assert sheet.dtype == np.uint8
    assert sheet.shape[1] == 2 * 28 + 4 * 440 + 3 * 20
    assert 2 * 440 < sheet.shape[0] < 2 * 440 + 220
    for index in range(6):
        assert has(sheet, (40 + 20 * index, 0, 0)) >= 440 * 440
    assert has(sheet, (0, 255, 0)) >= 440 * 440


@pytest.mark.parametrize(
    ("count", "columns"), [(1, 1), (2, 2), (3, 3), (4, 4), (5, 3), (6, 3), (7, 4), (8, 4)]
)
def test_rows_are_evenly_filled(count: int, columns: int) -> None:
    sheet = contact_sheet(cells(count - 1), title="")
    assert sheet.shape[1] == max(640, 2 * 28 + columns * 440 + (columns - 1) * 20)


@pytest.mark.parametrize(("size", "cell"), [((832, 480), (440, 254)), ((480, 832), (254, 440))])
def test_cells_have_the_shape_of_the_clip(size: tuple[int, int], cell: tuple[int, int]) -> None:
    sheet = contact_sheet(cells(3, *size), title="t")
    assert sheet.shape[1] == max(640, 2 * 28 + 4 * cell[0] + 3 * 20)
    assert has(sheet, (60, 0, 0)) == pytest.approx(cell[0] * cell[1], abs=20)


def test_a_given_picture_of_another_shape_is_centred_and_not_stretched() -> None:
    given = Labelled("given start", flat((0, 255, 0), 300, 100), given=True)
    sheet = contact_sheet([given, *cells(2)[1:]], title="t")
    where = np.argwhere(np.abs(sheet.astype(int) - (0, 255, 0)).max(axis=-1) <= 2)
    height, width = np.ptp(where, axis=0) + 1
    assert (width, height) == (440, 147)


def test_what_was_given_has_a_coloured_edge_and_caption() -> None:
    amber = (255, 184, 76)
    plain = [Labelled(cell.caption, cell.picture) for cell in cells(2)]
    assert has(contact_sheet(plain, title="t"), amber) == 0
    assert has(contact_sheet(cells(2), title="t"), amber) > 4 * 440


def test_captions_and_titles_are_drawn_and_cut_where_too_long() -> None:
    def ink(caption: str, title: str) -> int:
        sheet = contact_sheet([Labelled(caption, flat((0, 0, 0)))] * 2, title=title)
        return int((sheet.max(axis=-1) > 150).sum())

    assert ink("", "") == 0
    assert ink("frame 0", "") > 100
    assert ink("", "a title") > 100
    assert ink("w" * 5000, "") < 10 * ink("frame 0", "")
    long = contact_sheet(cells(1), title="word " * 5000)
    short = contact_sheet(cells(1), title="word")
    assert long.shape[0] - short.shape[0] == 2 * 40


def test_captions_of_any_script_do_no_harm() -> None:
    contact_sheet([Labelled("猫 \n\x00 \u202e 🎬", flat((0, 0, 0)))], title="%s {0} \u200b\n<b>")


def test_the_edges_of_size_are_drawn() -> None:
    assert contact_sheet([Labelled("a", flat((1, 2, 3), 1, 2000))], title="t").shape[1] == 640


def test_a_sheet_of_nothing_is_refused() -> None:
    with pytest.raises(ValueError, match="needs at least one picture"):
        contact_sheet([], title="t")


def test_the_sheet_is_written(tmp_path: Path) -> None:
    write_contact_sheet(cells(3), tmp_path / "sheet.webp", title="t")
    picture = load_image(tmp_path / "sheet.webp", limits=LIMITS)
    assert picture.shape == contact_sheet(cells(3), title="t").shape
