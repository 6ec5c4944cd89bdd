"""Latents to a small picture, by one matrix product: what a task will roughly look like, almost for free."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Final

import torch
from torch import Tensor

from headless.segment import Picture
from models.errors import WeightsError
from models.weights_source import read_json

FACTORS_FILE: Final = "latent_rgb.json"
"""Beside a VAE that brings its own factors: `{"factors": [16][3], "bias": [3]}`."""

WAN_FACTORS: Final = (
    (-0.1299, -0.1692, 0.2932),
    (0.0671, 0.0406, 0.0442),
    (0.3568, 0.2548, 0.1747),
    (0.0372, 0.2344, 0.1420),
    (0.0313, 0.0189, -0.0328),
    (0.0296, -0.0956, -0.0665),
    (-0.3477, -0.4059, -0.2925),
    (0.0166, 0.1902, 0.1975),
    (-0.0412, 0.0267, -0.1364),
    (-0.1293, 0.0740, 0.1636),
    (0.0680, 0.3019, 0.1128),
    (0.0032, 0.0581, 0.0639),
    (-0.1251, 0.0927, 0.1699),
    (0.0060, -0.0633, 0.0005),
    (0.3477, 0.2275, 0.2950),
    (0.1984, 0.0913, 0.1861),
)
"""The published linear fit of Wan 2.1's VAE: normalised latent channel -> red, green, blue in -1..1."""
WAN_BIAS: Final = (-0.1835, -0.0868, -0.3360)


class LatentPreview:
    """Maps latents to RGB. `factors` [16][3] and `bias` [3] give colours in -1..1."""

    def __init__(
        self, factors: Sequence[Sequence[float]] = WAN_FACTORS, bias: Sequence[float] = WAN_BIAS
    ) -> None:
        self._factors = torch.tensor(factors, dtype=torch.float32)
        self._bias = torch.tensor(bias, dtype=torch.float32)

    @classmethod
    def beside(cls, vae: Path) -> LatentPreview:
        """With the factors that lie in the VAE's folder, or else the published ones."""
        file = (vae if vae.is_dir() else vae.parent) / FACTORS_FILE
        if not file.is_file():
            return cls()
        content = read_json(file)
        try:
            return cls(content["factors"], content["bias"])
        except (KeyError, TypeError, ValueError) as error:
            raise WeightsError(f"{file} must hold factors [16][3] and bias [3]: {error}") from error

    def picture(self, latents: Tensor) -> Picture:
        """The middle latent frame of [16, T, h, w] as uint8 [h, w, 3]. Waits for the device."""
        frame = latents[:, latents.shape[1] // 2].to("cpu", torch.float32)
        colours = torch.einsum("chw,cr->hwr", frame, self._factors) + self._bias
        picture: Picture = to_uint8(colours).numpy()
        return picture


def to_uint8(pixels: Tensor) -> Tensor:
    """-1..1 to 0..255, rounded half to even; what lies outside is cut."""
    return ((pixels.clamp(-1, 1) + 1) * 127.5).round().to(torch.uint8)
