"""What a LoRA adds to one parameter."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor

from models.lora_names import Part


@dataclass(frozen=True)
class Delta:
    """The tensors of a file about one parameter, as stored. `check` before `of`."""

    tensors: Mapping[Part, Tensor]
    scale: float | None = None
    """Of the pair where it has no alpha of its own; None: 1."""

    def problem(self, shape: torch.Size) -> str | None:
        """What keeps this from fitting a parameter of that shape, or None."""
        found = set(self.tensors) - {Part.ALPHA, Part.DIFF, Part.UP_BIAS}
        low_rank = {Part.DOWN, Part.UP}
        if found and not (found == low_rank or self._whole_lokr()):
            return f"it has {_named(found)} only, half of what is needed"
        if not self.tensors.keys() - {Part.ALPHA}:
            return "it has an alpha and nothing to scale"
        sizes = [self._low_rank_size(), self._lokr_size(), self._diff_size()]
        for size in sizes:
            if size is not None and size != shape.numel():
                return f"it is made for {size} numbers, and this model has {tuple(shape)} there"
        return None

    def of(self, shape: torch.Size, device: torch.device) -> Tensor:
        """The sum of all parts in float32."""
        total = torch.zeros(shape, dtype=torch.float32, device=device)
        if Part.UP in self.tensors:
            up, down = self._float(Part.UP, device).flatten(1), self._float(Part.DOWN, device).flatten(1)
            total += (up @ down).view(shape) * self._pair_scale(down.shape[0])
        if self._whole_lokr():
            one, rank_one = self._factor(Part.W1, Part.W1_A, Part.W1_B, device)
            two, rank_two = self._factor(Part.W2, Part.W2_A, Part.W2_B, device)
            rank = rank_one or rank_two
            total += torch.kron(one, two).view(shape) * (1.0 if rank is None else self._pair_scale(rank))
        for part in (Part.DIFF, Part.UP_BIAS):
            if part in self.tensors:
                total += self._float(part, device).view(shape)
        return total

    @property
    def rank(self) -> int | None:
        """Rank of a plain pair."""
        down = self.tensors.get(Part.DOWN)
        return None if down is None else down.shape[0]

    def _pair_scale(self, rank: int) -> float:
        alpha = self.tensors.get(Part.ALPHA)
        if alpha is not None:
            return float(alpha) / rank
        return 1.0 if self.scale is None else self.scale

    def _float(self, part: Part, device: torch.device) -> Tensor:
        return self.tensors[part].to(device, torch.float32)

    def _factor(self, whole: Part, a: Part, b: Part, device: torch.device) -> tuple[Tensor, int | None]:
        """One factor of a Kronecker product, and its rank where it is a product itself."""
        if whole in self.tensors:
            return self._float(whole, device), None
        first, second = self._float(a, device), self._float(b, device)
        return first @ second.flatten(1), first.shape[1]

    def _whole_lokr(self) -> bool:
        one = {Part.W1} <= self.tensors.keys() or {Part.W1_A, Part.W1_B} <= self.tensors.keys()
        two = {Part.W2} <= self.tensors.keys() or {Part.W2_A, Part.W2_B} <= self.tensors.keys()
        return one and two

    def _low_rank_size(self) -> int | None:
        if Part.UP not in self.tensors:
            return None
        up, down = self.tensors[Part.UP], self.tensors[Part.DOWN]
        if up.numel() // up.shape[0] != down.shape[0]:
            return -1
        return up.shape[0] * (down.numel() // down.shape[0])

    def _lokr_size(self) -> int | None:
        if not self._whole_lokr():
            return None
        return self._factor_size(Part.W1, Part.W1_A, Part.W1_B) * self._factor_size(
            Part.W2, Part.W2_A, Part.W2_B
        )

    def _factor_size(self, whole: Part, a: Part, b: Part) -> int:
        if whole in self.tensors:
            return self.tensors[whole].numel()
        return self.tensors[a].shape[0] * (self.tensors[b].numel() // self.tensors[b].shape[0])

    def _diff_size(self) -> int | None:
        for part in (Part.DIFF, Part.UP_BIAS):
            if part in self.tensors:
                return self.tensors[part].numel()
        return None


def _named(parts: set[Part]) -> str:
    return " and ".join(sorted(part.value for part in parts))
