"""What a LoRA adds to one parameter."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from models.lora_names import Part


@dataclass(frozen=True)
class Delta:
    """The tensors of a file about one parameter, as stored, found to fit by `match_keys`."""

    tensors: Mapping[Part, Tensor]
    scale: float | None = None
    """Of the pair where it has no alpha of its own; None: 1."""

    def of(self, shape: tuple[int, ...], device: torch.device) -> Tensor:
        """The sum of all parts in float32."""
        total = torch.zeros(shape, dtype=torch.float32, device=device)
        if Part.UP in self.tensors:
            up, down = self._float(Part.UP, device).flatten(1), self._float(Part.DOWN, device).flatten(1)
            total += (up @ down).view(shape) * self._pair_scale(down.shape[0])
        if {Part.W1, Part.W1_A} & self.tensors.keys():
            one, rank_one = self._factor(Part.W1, Part.W1_A, Part.W1_B, device)
            two, rank_two = self._factor(Part.W2, Part.W2_A, Part.W2_B, device)
            rank = rank_one or rank_two
            total += torch.kron(one, two).view(shape) * (1.0 if rank is None else self._pair_scale(rank))
        for part in (Part.DIFF, Part.UP_BIAS):
            if part in self.tensors:
                total += self._float(part, device).view(shape)
        return total

    def on(self, device: torch.device) -> Delta:
        """The same with its tensors on a device."""
        return replace(self, tensors={part: tensor.to(device) for part, tensor in self.tensors.items()})

    @property
    def rank(self) -> int | None:
        """Rank of a plain pair."""
        down = self.tensors.get(Part.DOWN)
        return None if down is None else down.shape[0]

    def _pair_scale(self, rank: int) -> float:
        alpha = self.tensors.get(Part.ALPHA)
        if alpha is not None:
            return float(alpha.reshape(())) / rank
        return 1.0 if self.scale is None else self.scale

    def _float(self, part: Part, device: torch.device) -> Tensor:
        return self.tensors[part].to(device, torch.float32)

    def _factor(self, whole: Part, a: Part, b: Part, device: torch.device) -> tuple[Tensor, int | None]:
        """One factor of a Kronecker product, and its rank where it is a product itself."""
        if whole in self.tensors:
            return self._float(whole, device).flatten(1), None
        first, second = self._float(a, device), self._float(b, device)
        return first @ second.flatten(1), first.shape[1]
