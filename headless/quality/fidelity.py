"""How close a frame is to the picture that it should show."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from headless.quality.colour import luma
from headless.segment import Picture

_PEAK = 255.0
_C1, _C2 = (0.01 * _PEAK) ** 2, (0.03 * _PEAK) ** 2
_WINDOW, _SIGMA = 11, 1.5
_VIEWED_SIDE = 256

Plane = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Fidelity:
    """`psnr` in dB, infinite for equal pictures; `ssim` from -1 to 1, 1 for equal pictures."""

    psnr: float
    ssim: float

    def as_json(self) -> dict[str, object]:
        """`{psnr_db, ssim, identical}`. JSON has no infinity: `psnr_db` is null for equal pictures."""
        identical = math.isinf(self.psnr)
        return {
            "psnr_db": None if identical else round(self.psnr, 2),
            "ssim": round(self.ssim, 4),
            "identical": identical,
        }


def fidelity(frame: Picture, reference: Picture) -> Fidelity:
    """PSNR and SSIM of two pictures of one size, uint8 [H, W, 3] RGB. Raises `ValueError` for two sizes."""
    return Fidelity(psnr(frame, reference), ssim(frame, reference))


def psnr(frame: Picture, reference: Picture) -> float:
    """Peak signal-to-noise ratio in dB, 0 to infinity, of two pictures uint8 [H, W, 3].

    10 log10(255^2 / MSE), the mean over all samples of all three channels. Raises `ValueError` where the
    sizes differ.
    """
    _check_sizes(frame, reference)
    difference = (frame.astype(np.float32) - reference.astype(np.float32)).reshape(frame.shape[0], -1)
    error = float(np.einsum("ij,ij->i", difference, difference).sum(dtype=np.float64)) / difference.size
    return math.inf if error == 0 else 10 * math.log10(_PEAK**2 / error)


def ssim(frame: Picture, reference: Picture) -> float:
    """Structural similarity of two pictures uint8 [H, W, 3], from -1 to 1.

    That of Wang, Bovik, Sheikh and Simoncelli (IEEE Transactions on Image Processing 13, 2004), on BT.709
    luma: K1 = 0.01, K2 = 0.03, a Gaussian window of 11x11 with sigma 1.5 (narrower where a side has fewer
    than 11 pixels), the mean over every window that lies within the picture. As its authors suggest for the
    distance at which pictures are looked at, both are first reduced by n = max(1, round(shorter side / 256)):
    the mean of every n x n pixels, what is left over at the right and at the bottom cut.

    Raises `ValueError` where the sizes differ.
    """
    _check_sizes(frame, reference)
    x, y = _reduced(luma(frame)), _reduced(luma(reference))
    mean_x, mean_y = _smoothed(x), _smoothed(y)
    variance_x = _smoothed(x * x) - mean_x**2
    variance_y = _smoothed(y * y) - mean_y**2
    covariance = _smoothed(x * y) - mean_x * mean_y
    likeness = (2 * mean_x * mean_y + _C1) * (2 * covariance + _C2)
    return float(np.mean(likeness / ((mean_x**2 + mean_y**2 + _C1) * (variance_x + variance_y + _C2))))


def _check_sizes(frame: Picture, reference: Picture) -> None:
    if frame.shape != reference.shape:
        raise ValueError(f"pictures of {frame.shape} and {reference.shape} cannot be compared")


def _reduced(plane: Plane) -> Plane:
    """Halves round down: a shorter side of 383 pixels is left as it is, one of 384 is halved."""
    n = max(1, int(min(plane.shape) / _VIEWED_SIDE + 0.5))
    if n == 1:
        return plane
    rows, columns = (side // n for side in plane.shape)
    means: Plane = plane[: rows * n, : columns * n].reshape(rows, n, columns, n).mean(axis=(1, 3))
    return means


def _smoothed(plane: Plane) -> Plane:
    """The Gaussian mean of every window that lies within the plane; separable, so rows and then columns."""
    for axis in (0, 1):
        turned = plane.swapaxes(0, axis)
        weights = _gaussian(min(_WINDOW, len(turned)))
        positions = len(turned) - len(weights) + 1
        mean = np.zeros_like(turned[:positions])
        for start, weight in enumerate(weights):
            mean += weight * turned[start : start + positions]
        plane = mean.swapaxes(0, axis)
    return plane


def _gaussian(length: int) -> Plane:
    distance = np.arange(length) - (length - 1) / 2
    weights = np.exp(-(distance**2) / (2 * _SIGMA**2))
    normalised: Plane = weights / weights.sum()
    return normalised
