"""The golden cases as the tests read them."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from safetensors import safe_open
from torch import Tensor

GOLDEN = Path(__file__).parents[1] / "data" / "golden"
TINY_VAE = GOLDEN / "tiny_wan_vae.safetensors"


@dataclass(frozen=True)
class GoldenCase:
    """One case: its settings and, by name, its tensors."""

    name: str
    settings: Mapping[str, Any]

    def __str__(self) -> str:
        return self.name

    @property
    def inputs(self) -> list[str]:
        return list(self.settings["inputs"])

    @property
    def out(self) -> Mapping[str, Any]:
        return dict(self.settings["out"])

    def tensor(self, name: str) -> Tensor:
        with safe_open(GOLDEN / "conditioning_cases.safetensors", framework="pt") as file:
            tensor: Tensor = file.get_tensor(f"{self.name}/{name}")
        return tensor

    def optional(self, name: str) -> Tensor | None:
        return self.tensor(name) if name in self.inputs else None

    def pixels(self, name: str) -> Tensor | None:
        """Images [N, H, W, 3] in 0..1 as pixels [3, N, H, W] in [-1, 1]."""
        images = self.optional(name)
        return None if images is None else images.permute(3, 0, 1, 2) * 2 - 1

    def latents(self, name: str) -> Tensor | None:
        """Latents [1, 16, t, h, w] without the batch axis."""
        batch = self.optional(name)
        return None if batch is None else batch[0]


def cases(kind: str | None = None) -> list[GoldenCase]:
    """Every golden case, or those of one kind."""
    stored = json.loads((GOLDEN / "conditioning_cases.json").read_text(encoding="utf-8"))
    return [GoldenCase(name, case) for name, case in stored.items() if kind in (None, case["kind"])]
