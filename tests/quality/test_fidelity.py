from __future__ import annotations

import json
import math

import numpy as np
import pytest

from headless.quality.fidelity import Plane, fidelity
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
