"""A low-rank addition to every linear layer inside the blocks of a frozen expert, while it is trained."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

import torch
from diffusers import WanTransformer3DModel
from torch import Tensor

from models.lora_names import wan_module
from models.weights import load_transformer
from training.store import write_tensors

RANK: Final = 16


class TrainedLora:
    """The additions to one expert: B A x beside W x, at strength 1. `on` turns them off for a teacher."""

    def __init__(self, model: WanTransformer3DModel, seed: int, rank: int = RANK) -> None:
        self.model = model.requires_grad_(False)
        self.on = True
        self._pairs: dict[str, tuple[Tensor, Tensor]] = {}
        generator = torch.Generator().manual_seed(seed)
        for name, module in model.named_modules():
            if name.startswith("blocks.") and isinstance(module, torch.nn.Linear):
                down = torch.randn(rank, module.in_features, generator=generator) / module.in_features**0.5
                pair = (down.requires_grad_(), torch.zeros(module.out_features, rank).requires_grad_())
                self._pairs[name] = pair
                module.register_forward_hook(self._adding(*pair))

    @property
    def parameters(self) -> dict[str, Tensor]:
        """`<layer>.down` [rank, in] and `<layer>.up` [out, rank]."""
        named: dict[str, Tensor] = {}
        for name, (down, up) in self._pairs.items():
            named |= {f"{name}.down": down, f"{name}.up": up}
        return named

    def _adding(self, down: Tensor, up: Tensor) -> Any:
        def add(_: torch.nn.Module, inputs: tuple[Tensor, ...], output: Tensor) -> Tensor:
            return output + inputs[0] @ down.T @ up.T if self.on else output

        return add


def load_expert(folder: Path) -> WanTransformer3DModel:
    """A trained expert, as the engine loads it."""
    return load_transformer(folder, dtype=torch.float32, device=torch.device("cpu"))


def save_svi_dialect(path: Path, weights: Mapping[str, Tensor], title: str) -> None:
    """As SVI's training writes them: Wan's own names, a named adapter, no alpha."""
    tensors = {}
    for name, tensor in weights.items():
        layer, part = name.rsplit(".", 1)
        letter = "A" if part == "down" else "B"
        tensors[f"{wan_module(layer)}.lora_{letter}.default.weight"] = tensor
    _save(path, tensors, title)


def save_lightx2v_dialect(path: Path, weights: Mapping[str, Tensor], title: str) -> None:
    """As the distilled LoRAs of lightx2v are written: `diffusion_model.`, down, up and alpha."""
    tensors = {}
    for name, tensor in weights.items():
        layer, part = name.rsplit(".", 1)
        tensors[f"diffusion_model.{wan_module(layer)}.lora_{part}.weight"] = tensor
        if part == "down":
            tensors[f"diffusion_model.{wan_module(layer)}.alpha"] = torch.tensor(float(tensor.shape[0]))
    _save(path, tensors, title)


def _save(path: Path, tensors: Mapping[str, Tensor], title: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    halves = {name: tensor.detach().to(torch.float16).contiguous() for name, tensor in tensors.items()}
    write_tensors(path, halves, **{"modelspec.title": title})
