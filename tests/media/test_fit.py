from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from headless.errors import BadParams
from headless.media.images import fit_picture
from headless.segment import Picture


def disc(width: int, height: int, radius: int) -> Picture:
    """A white disc in the middle of grey."""
    rows, columns = np.mgrid[:height, :width]
    inside = (rows - (height - 1) / 2) ** 2 + (columns - (width - 1) / 2) ** 2 <= radius**2
    return np.where(inside[..., None], 255, 100).astype(np.uint8).repeat(3, axis=2)


@pytest.mark.parametrize(("width", "height"), [(300, 100), (100, 300), (128, 128)])
@pytest.mark.parametrize("fit", ["crop", "pad"])
def test_a_disc_stays_a_disc(width: int, height: int, fit: str) -> None:
    picture, report = fit_picture(disc(width, height, 40), 160, 128, fit)
    assert picture.shape == (128, 160, 3)
    white = picture[..., 0] > 180
    across, down = white.any(axis=0).sum(), white.any(axis=1).sum()
    assert abs(int(across) - int(down)) <= 2
    assert np.abs(np.argwhere(white).mean(axis=0) - (63.5, 79.5)).max() < 0.6
    assert (report.fit, report.source, report.target) == (fit, (width, height), (160, 128))


def test_crop_fills_the_frame_and_says_what_is_lost() -> None:
    picture, report = fit_picture(disc(400, 100, 40), 200, 100)
    assert picture.min() >= 100
    assert report.source_box == (100.0, 0.0, 300.0, 100.0)
    assert (report.shown, report.covered) == (0.5, 1.0)
    adjustment = report.adjustment("start_image")
    assert adjustment is not None
    assert adjustment.as_json() == {
        "field": "start_image",
        "requested": "400x100",
        "used": "200x100",
        "why": "cropped around the centre to the aspect ratio of the clip; 50.0% of it is shown",
    }


def test_pad_shows_everything_on_black() -> None:
    picture, report = fit_picture(disc(400, 100, 40), 200, 100, "pad")
    assert report.target_box == (0, 25, 200, 75)
    assert picture[:25].max() == picture[75:].max() == 0
    assert picture[25:75].min() > 50
    assert (report.shown, report.covered) == (1.0, 0.5)
    adjustment = report.adjustment("end_image")
    assert adjustment is not None
    assert adjustment.why == "padded with black to the aspect ratio of the clip; 50.0% of it is picture"


@pytest.mark.parametrize("fit", ["crop", "pad"])
def test_a_picture_of_the_right_size_is_unchanged(fit: str) -> None:
    source = disc(64, 48, 10)
    picture, report = fit_picture(source, 64, 48, fit)
    assert np.array_equal(picture, source)
    assert picture is not source
    assert report.adjustment("start_image") is None


@pytest.mark.parametrize(("width", "height"), [(1920, 1080), (1664, 960), (833, 481)])
def test_scaling_alone_is_no_adjustment_and_half_a_pixel_is_scaling(width: int, height: int) -> None:
    picture, report = fit_picture(disc(width, height, 10), width // 2, height // 2)
    assert picture.shape == (height // 2, width // 2, 3)
    assert report.adjustment("start_image") is None


def test_an_extreme_shape_needs_no_extreme_memory() -> None:
    """Scaled as a whole, this would have 16 million rows."""
    picture, report = fit_picture(np.full((20_000, 1, 3), 7, np.uint8), 832, 480)
    assert picture.shape == (480, 832, 3)
    assert set(np.unique(picture)) == {7}
    assert report.shown < 0.001
    padded, _ = fit_picture(np.full((20_000, 1, 3), 7, np.uint8), 832, 480, "pad")
    assert np.count_nonzero(padded[..., 0]) == 480


def test_an_unknown_fit_is_refused() -> None:
    with pytest.raises(BadParams, match="fit: 'stretch' is not legal; write crop or pad"):
        fit_picture(disc(8, 8, 2), 8, 8, "stretch")


@given(
    st.integers(1, 200),
    st.integers(1, 200),
    st.integers(1, 100),
    st.integers(1, 100),
    st.sampled_from(["crop", "pad"]),
)
def test_every_size_fits_every_other(
    width: int, height: int, to_width: int, to_height: int, fit: str
) -> None:
    picture, report = fit_picture(np.full((height, width, 3), 200, np.uint8), to_width, to_height, fit)
    assert picture.shape == (to_height, to_width, 3)
    left, top, right, bottom = report.target_box
    assert 0 <= left < right <= to_width
    assert 0 <= top < bottom <= to_height
    assert np.unique(picture[top:bottom, left:right]).tolist() == [200]
    assert 0 < report.shown <= 1
    assert 0 < report.covered <= 1
