from __future__ import annotations

import json
import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis.extra import numpy as arrays

from headless.quality.fidelity import Plane, fidelity, ssim
from headless.segment import Picture


def noise(seed: int, height: int = 48, width: int = 64) -> Picture:
    return np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8)


def reference_ssim(x: Plane, y: Plane) -> float:
    """The formula of the paper, window by window."""
    distance = np.arange(11) - 5
    window = np.exp(-(distance[:, None] ** 2 + distance[None] ** 2) / (2 * 1.5**2))
    window /= window.sum()
    c1, c2 = (0.01 * 255) ** 2, (0.03 * 255) ** 2
    values = []
    for row in range(x.shape[0] - 10):
        for column in range(x.shape[1] - 10):
            a, b = (plane[row : row + 11, column : column + 11] for plane in (x, y))
            mean_a, mean_b = (window * a).sum(), (window * b).sum()
            variance_a, variance_b = (window * (a - mean_a) ** 2).sum(), (window * (b - mean_b) ** 2).sum()
            covariance = (window * (a - mean_a) * (b - mean_b)).sum()
            values.append(
                (2 * mean_a * mean_b + c1)
                * (2 * covariance + c2)
                / ((mean_a**2 + mean_b**2 + c1) * (variance_a + variance_b + c2))
            )
    return float(np.mean(values))


def test_equal_pictures() -> None:
    result = fidelity(noise(1), noise(1))
    assert math.isinf(result.psnr)
    assert result.ssim == pytest.approx(1)
    assert json.loads(json.dumps(result.as_json(), allow_nan=False)) == {
        "psnr_db": None,
        "ssim": 1.0,
        "identical": True,
    }


@pytest.mark.parametrize(("step", "psnr"), [(1, 48.1308), (10, 28.1308), (255, 0.0)])
def test_psnr_of_a_known_error(step: int, psnr: float) -> None:
    black = np.zeros((16, 16, 3), np.uint8)
    result = fidelity(black, np.full_like(black, step))
    assert result.psnr == pytest.approx(psnr, abs=1e-4)
    assert result.as_json()["psnr_db"] == round(psnr, 2)


def test_one_channel_counts_for_a_third() -> None:
    black = np.zeros((16, 16, 3), np.uint8)
    green = black.copy()
    green[..., 1] = 10
    assert fidelity(green, black).psnr == pytest.approx(28.1308 + 10 * math.log10(3), abs=1e-3)


def test_ssim_follows_the_paper() -> None:
    x, y = noise(1, 20, 24), noise(2, 20, 24)
    mixed = ((x.astype(int) * 3 + y) // 4).astype(np.uint8)
    weights = np.array([0.2126, 0.7152, 0.0722])
    expected = reference_ssim(x @ weights, mixed @ weights)
    assert fidelity(x, mixed).ssim == pytest.approx(expected, abs=1e-9)
    assert 0.5 < expected < 0.99


def test_scores_fall_as_pictures_differ_more() -> None:
    clean = noise(3)
    scores = [
        fidelity(np.clip(clean.astype(int) + offset, 0, 255).astype(np.uint8), clean)
        for offset in (noise(4) // 64, noise(4) // 16, noise(4) // 4)
    ]
    assert scores[0].psnr > scores[1].psnr > scores[2].psnr
    assert scores[0].ssim > scores[1].ssim > scores[2].ssim


def test_pictures_smaller_than_the_window() -> None:
    assert fidelity(noise(1, 4, 3), noise(1, 4, 3)).ssim == pytest.approx(1)
    assert fidelity(noise(1, 4, 3), noise(2, 4, 3)).ssim < 0.9


def test_pictures_of_different_sizes_are_refused() -> None:
    with pytest.raises(ValueError, match="cannot be compared"):
        fidelity(noise(1), noise(1)[:-1])


def test_large_pictures_are_compared_as_they_are_looked_at() -> None:
    """The reduction that the authors suggest: of 384 pixels every 2 x 2 become one, of 383 they stay."""
    waves = 128 + 60 * np.sin(np.arange(400) / 9)[None, :, None] + np.zeros((384, 400, 3))
    x, mixed = waves.astype(np.uint8), (waves + noise(2, 384, 400) / 8).astype(np.uint8)
    weights = np.array([0.2126, 0.7152, 0.0722])
    halved = [(picture @ weights).reshape(192, 2, 200, 2).mean(axis=(1, 3)) for picture in (x, mixed)]
    assert ssim(x, mixed) == pytest.approx(reference_ssim(*(plane[:60, :60] for plane in halved)), abs=0.03)
    whole = [(picture @ weights)[:60, :60] for picture in (x, mixed)]
    assert ssim(x[:383], mixed[:383]) == pytest.approx(reference_ssim(*whole), abs=0.03)
    assert ssim(x, mixed) > ssim(x[:383], mixed[:383]) + 0.1


@settings(deadline=None, max_examples=30)
@given(
    arrays.arrays(np.uint8, (13, 15, 3)),
    arrays.arrays(np.uint8, (13, 15, 3)),
)
def test_fidelity_is_symmetric_and_in_range(one: Picture, other: Picture) -> None:
    there, back = fidelity(one, other), fidelity(other, one)
    assert there.psnr == pytest.approx(back.psnr)
    assert there.ssim == pytest.approx(back.ssim)
    assert there.psnr >= 0
    assert -1 <= there.ssim <= 1 + 1e-12
    assert math.isinf(fidelity(one, one).psnr)
    assert fidelity(one, one).ssim == pytest.approx(1)
