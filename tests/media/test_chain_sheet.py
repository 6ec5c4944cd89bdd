from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from headless.media.chain_sheet import DIFFERENCE_GAIN, SegmentPictures, chain_sheet, write_chain_sheet
from headless.media.images import ImageLimits, load_image
from headless.segment import Picture

LIMITS = ImageLimits(max_pixels=100_000_000)
AMBER = (255, 184, 76)


def flat(colour: tuple[int, int, int], width: int = 104, height: int = 60) -> Picture:
    return np.full((height, width, 3), colour, np.uint8)


def segments(count: int, width: int = 104, height: int = 60) -> list[SegmentPictures]:
    """Each has a red of its own; borders lie between neighbours' reds."""
    return [
        SegmentPictures(
            title=f"segment {index} of {count}",
            frames={5 * index + n: flat((20 + 16 * (index % 12), 0, n), width, height) for n in range(5)},
            anchor=flat((0, 255, 0), width, height),
            before=flat((4 + 16 * (index % 12), 0, 4), width, height) if index else None,
            seam="difference 1  colour 1",
        )
        for index in range(count)
    ]


class Seen:
    """How many pixels of a sheet have exactly some colour."""

    def __init__(self, sheet: Picture) -> None:
        self._pixels = sheet.astype(np.uint32) @ np.array([1 << 16, 1 << 8, 1], np.uint32)

    def __call__(self, colour: tuple[int, int, int]) -> int:
        red, green, blue = colour
        return int((self._pixels == (red << 16 | green << 8 | blue)).sum())


def has(sheet: Picture, colour: tuple[int, int, int]) -> int:
    return Seen(sheet)(colour)


@pytest.mark.parametrize("count", [1, 2, 12])
def test_every_picture_of_every_segment_is_there(count: int) -> None:
    sheet = chain_sheet(segments(count), title="wan_tiny_i2v  seed 1")
    assert sheet.dtype == np.uint8
    seen, side = Seen(sheet), 264 * (264 * 60 // 104)
    for index in range(count):
        for n in range(1, 5):
            assert seen((20 + 16 * index, 0, n)) >= side * 0.98
        assert seen((20 + 16 * index, 0, 0)) >= side * (2.9 if index else 0.98), "and in its border"
        if index:
            assert seen((4 + 16 * index, 0, 4)) >= side * 1.9
    assert seen((0, 255, 0)) == pytest.approx(count * side, rel=0.02)
    assert (seen((16 * DIFFERENCE_GAIN, 0, 4 * DIFFERENCE_GAIN)) >= 0.9 * side) == (count > 1)


def test_the_border_shows_the_middle_four_times_as_large() -> None:
    before, after = flat((0, 0, 0), 256, 160), flat((0, 0, 0), 256, 160)
    after[78:82, 126:130] = (0, 0, 250)
    after[:20, :20] = (250, 0, 0)
    sheet = chain_sheet([SegmentPictures("", {9: after}, before=before)], title="")

    def reddish_and_blue(picture: Picture) -> tuple[int, int]:
        strong = picture.astype(int)
        return int((strong[..., 0] > 200 + strong[..., 2]).sum()), int(
            (strong[..., 2] > 200 + strong[..., 0]).sum()
        )

    red, blue = reddish_and_blue(sheet)
    scale = (264 / 256) ** 2
    assert red == pytest.approx(3 * 400 * scale, rel=0.1), "the frame, in both rows, and the difference"
    assert blue == pytest.approx((3 + 16) * 16 * scale, rel=0.3), "and once magnified"


def test_small_steps_are_made_visible_and_large_ones_cut_off() -> None:
    before, after = flat((100, 100, 100)), flat((103, 100, 200))
    sheet = chain_sheet([SegmentPictures("", {1: after}, before=before)], title="")
    assert has(sheet, (3 * DIFFERENCE_GAIN, 0, 255)) > 30_000


def test_a_loop_ends_with_its_border() -> None:
    plain = chain_sheet(segments(2), title="t")
    ends = flat((10, 20, 30)), flat((40, 50, 60))
    loop = chain_sheet(segments(2), title="t", loop=ends, loop_seam="difference 1")
    assert loop.shape[0] > plain.shape[0] + 150
    assert loop.shape[1] == plain.shape[1]
    for colour in ((10, 20, 30), (40, 50, 60)):
        assert (has(plain, colour), has(loop, colour) > 70_000) == (0, True)


def test_given_images_are_marked_and_in_their_places() -> None:
    frames = {0: flat((1, 1, 1)), 4: flat((2, 2, 2))}
    given = SegmentPictures("t", frames, anchor=flat((3, 3, 3)), start=flat((4, 4, 4)), end=flat((5, 5, 5)))
    assert [cell.caption for cell in given.cells] == [
        "anchor",
        "start image",
        "frame 0",
        "frame 4",
        "end image",
    ]
    sheet = chain_sheet([given], title="")
    columns = [int(np.argwhere((sheet == (n, n, n)).all(axis=-1))[:, 1].min()) for n in (3, 4, 1, 2, 5)]
    assert columns == sorted(columns)
    assert has(sheet, AMBER) > 3 * 2 * 264
    assert has(chain_sheet([SegmentPictures("t", frames)], title=""), AMBER) == 0


@pytest.mark.parametrize(("size", "cell"), [((832, 480), (264, 152)), ((480, 832), (152, 264))])
def test_pictures_keep_their_shape(size: tuple[int, int], cell: tuple[int, int]) -> None:
    sheet = chain_sheet(segments(1, *size), title="t")
    where = np.argwhere((sheet == (0, 255, 0)).all(axis=-1))
    height, width = np.ptp(where, axis=0) + 1
    assert (width, height) == pytest.approx(cell, abs=1)


def test_long_chains_stay_within_what_a_picture_may_have() -> None:
    count = 90
    few = [
        SegmentPictures(f"segment {n}", {n: flat((n % 200, 9, 9), 52, 30)}, before=flat((9, 9, 9), 52, 30))
        for n in range(count)
    ]
    sheet = chain_sheet(few, title="t")
    assert max(sheet.shape[:2]) < 16383
    assert sheet.shape[0] <= 6200
    seen = Seen(sheet)
    for n in range(0, count, 31):
        assert seen((n % 200, 9, 9)) >= 90 * 50


def test_titles_and_captions_of_any_length_and_script_do_no_harm() -> None:
    for text in ("word " * 200, "猫" * 200, "\x00 \u202e 🎬 %s {0}\n"):
        one = SegmentPictures(text, {0: flat((1, 2, 3))}, before=flat((1, 2, 3)), seam=text)
        assert chain_sheet([one], title=text).shape[1] < 2200


def test_what_cannot_be_drawn_is_refused() -> None:
    with pytest.raises(ValueError, match="at least one segment"):
        chain_sheet([], title="t")
    other = SegmentPictures("t", {1: flat((0, 0, 0))}, before=flat((0, 0, 0), 64, 64))
    with pytest.raises(ValueError, match="have no border"):
        chain_sheet([other], title="t")


def test_the_sheet_is_written(tmp_path: Path) -> None:
    write_chain_sheet(segments(2), tmp_path / "sheet.webp", title="t")
    picture = load_image(tmp_path / "sheet.webp", limits=LIMITS)
    assert picture.shape == chain_sheet(segments(2), title="t").shape
