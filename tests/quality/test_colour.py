"""Luma and L*a*b* against published values."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from headless.quality.colour import lab, luma

FEW = settings(deadline=None, max_examples=30)
COLOURS = st.tuples(*[st.integers(0, 255)] * 3)


@pytest.mark.parametrize(
    ("colour", "expected"),
    [
        ((255, 255, 255), (100.0, 0.0, 0.0)),
        ((0, 0, 0), (0.0, 0.0, 0.0)),
        ((255, 0, 0), (53.24, 80.09, 67.20)),
        ((0, 255, 0), (87.73, -86.18, 83.18)),
        ((0, 0, 255), (32.30, 79.19, -107.86)),
        ((119, 119, 119), (50.03, 0.0, 0.0)),
    ],
)
def test_lab_of_known_colours(colour: tuple[int, int, int], expected: tuple[float, float, float]) -> None:
    assert lab(np.array([colour], np.uint8))[0] == pytest.approx(expected, abs=0.02)


@FEW
@given(COLOURS)
def test_lab_stays_in_its_range(colour: tuple[int, ...]) -> None:
    lightness, a, b = lab(np.array([colour], np.uint8))[0]
    assert -1e-9 <= lightness <= 100 + 1e-9
    assert max(abs(a), abs(b)) < 110


@FEW
@given(st.integers(0, 255))
def test_greys_have_no_colour(level: int) -> None:
    grey = np.full((1, 3), level, np.uint8)
    assert np.abs(lab(grey)[0, 1:]).max() < 1e-9
    assert luma(grey)[0] == pytest.approx(level)


@FEW
@given(COLOURS, st.integers(0, 2))
def test_more_light_is_lighter(colour: tuple[int, ...], channel: int) -> None:
    brighter = list(colour)
    brighter[channel] = min(255, brighter[channel] + 10)
    pair = np.array([colour, brighter], np.uint8)
    assert luma(pair)[1] >= luma(pair)[0]
    assert lab(pair)[1, 0] >= lab(pair)[0, 0]


def test_luma_is_that_of_bt709() -> None:
    primaries = np.array([(255, 0, 0), (0, 255, 0), (0, 0, 255)], np.uint8)
    assert luma(primaries) == pytest.approx([54.213, 182.376, 18.411])
