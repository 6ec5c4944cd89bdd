"""Pixels as brightness, and as colours at distances that eyes agree with."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from headless.segment import Picture

Plane = npt.NDArray[np.float64]

_LUMA = (0.2126, 0.7152, 0.0722)
_TO_XYZ = (
    (0.4124564, 0.3575761, 0.1804375),
    (0.2126729, 0.7151522, 0.0721750),
    (0.0193339, 0.1191920, 0.9503041),
)
_DELTA = 6 / 29


def luma(picture: Picture) -> Plane:
    """Y' of ITU-R BT.709 from uint8 [..., 3] RGB: float64 [...], 0 to 255 levels."""
    plane: Plane = picture.astype(np.float64) @ np.asarray(_LUMA)
    return plane


def lab(picture: Picture) -> Plane:
    """CIE 1976 L*a*b* of uint8 [..., 3] sRGB: float64 [..., 3], L* 0 to 100, a* and b* about -110 to 110.

    IEC 61966-2-1 undoes the transfer curve and gives XYZ under D65; CIE 15 gives L*a*b*, white being what
    (255, 255, 255) is. A distance of about 2.3 in it is what eyes just notice (Mahy, Van Eycken and
    Oosterlinck, Color Research and Application 19, 1994).
    """
    return np.moveaxis(lab_planes(picture.reshape(-1, 3)).reshape(3, *picture.shape[:-1]), 0, -1)


def lab_planes(pixels: Picture) -> Plane:
    """The same of uint8 [N, 3] as three planes, float64 [3, N], over which means are three times as fast."""
    relative = _to_relative_xyz() @ np.ascontiguousarray(_linear()[pixels].T)
    bent = np.cbrt(relative)
    np.copyto(bent, relative / (3 * _DELTA**2) + 4 / 29, where=relative <= _DELTA**3)
    x, y, z = bent
    colours: Plane = np.stack([116 * y - 16, 500 * (x - y), 200 * (y - z)])
    return colours


def from_lab(colours: Plane) -> Plane:
    """The inverse of `lab`: float64 [..., 3] sRGB in levels, neither rounded nor cut off at 0 and 255.

    Beyond that range the transfer curve goes on as it does on the other side of 0.
    """
    y = (colours[..., 0] + 16) / 116
    bent = np.stack([y + colours[..., 1] / 500, y, y - colours[..., 2] / 200], axis=-1)
    relative = np.where(bent > _DELTA, bent**3, 3 * _DELTA**2 * (bent - 4 / 29))
    linear = relative @ np.linalg.inv(_to_relative_xyz()).T
    size = np.abs(linear)
    curve = np.where(size <= 0.0031308, 12.92 * size, 1.055 * size ** (1 / 2.4) - 0.055)
    levels: Plane = 255 * np.copysign(curve, linear)
    return levels


def _to_relative_xyz() -> Plane:
    """From linear light to XYZ, where white is (1, 1, 1)."""
    matrix = np.asarray(_TO_XYZ)
    relative: Plane = matrix / matrix.sum(axis=1, keepdims=True)
    return relative


def _linear() -> Plane:
    """Linear light of every 8-bit sRGB value, 0 to 1."""
    value = np.arange(256) / 255
    curve: Plane = np.where(value <= 0.04045, value / 12.92, ((value + 0.055) / 1.055) ** 2.4)
    return curve
