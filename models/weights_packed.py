"""Linear layers whose weights stay packed in memory, as their file has them, and are unpacked when used."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

import torch
from torch import Tensor, nn

from models.lora_delta import Delta
from models.weights_source import READABLE_TYPES
from models.weights_stored import Decode, Stored

_BLOCKS: Final = "blocks."
_WEIGHT: Final = ".weight"
_GGUF: Final = "GGUF "
_EIGHT_BIT_CASTS: Final = frozenset({"F8_E4M3", "F8_E5M2"})


class PackedLinear(nn.Module):
    """Computes what `nn.Linear` computes with the unpacked weight, bit for bit.

    The parts of the file are its parameters `packed.0`, `packed.1`, so that whatever moves parameters moves
    them. The weight in `dtype` lives for the length of a call, with the LoRAs of `added` in it: the same sum
    in float32, rounded once, that `models.lora.bake` writes. Taking LoRAs out leaves nothing behind.
    """

    def __init__(
        self, parts: Sequence[Tensor], decode: Decode, shape: tuple[int, int], dtype: torch.dtype
    ) -> None:
        """`decode` makes the weight of `parts`. `bias` is for the caller to set."""
        super().__init__()
        self.packed = nn.ParameterList(nn.Parameter(part, requires_grad=False) for part in parts)
        self.bias: nn.Parameter | None
        self.register_parameter("bias", None)
        self.out_features, self.in_features = shape
        self.dtype = dtype
        self.added: tuple[tuple[Delta, float], ...] = ()
        self._decode = decode

    @property
    def shape(self) -> torch.Size:
        """Of the weight."""
        return torch.Size((self.out_features, self.in_features))

    @property
    def weight(self) -> Tensor:
        """Made anew every time it is asked for."""
        plain = self._decode(list(self.packed)).reshape(self.shape).to(self.dtype)
        if not self.added:
            return plain
        total = plain.to(torch.float32)
        for delta, strength in self.added:
            total = total + delta.of(self.shape, total.device) * strength
        return total.to(self.dtype)

    def forward(self, given: Tensor) -> Tensor:
        """`nn.Linear`'s."""
        return nn.functional.linear(given, _unpacked(self), self.bias)


def _weight_of(layer: PackedLinear) -> Tensor:
    return layer.weight


_COMPILER: Any = torch.compiler
_unpacked = _COMPILER.disable(_weight_of)
"""Unpacking differs from layer to layer; compiled, every layer would be compiled on its own."""


def can_stay_packed(name: str, stored: Stored) -> bool:
    """Whether a transformer's parameter is the packed weight of a linear layer in one of its blocks."""
    linear = name.startswith(_BLOCKS) and name.endswith(_WEIGHT) and len(stored.shape) == 2
    plain = stored.kind.removeprefix(_GGUF) in READABLE_TYPES - _EIGHT_BIT_CASTS
    return linear and not plain


def lay_on_packed(
    module: nn.Module, added: Sequence[tuple[Mapping[str, Delta], float]], *, stay: bool
) -> None:
    """Give every packed layer exactly these deltas by weight's name, with their strengths.

    With `stay` their tensors are moved to where the packed weight is now; otherwise at every use.
    """
    for name, layer in packed_layers(module).items():
        device = layer.packed[0].device
        layer.added = tuple(
            (deltas[name].on(device) if stay else deltas[name], strength)
            for deltas, strength in added
            if name in deltas
        )


def packed_layers(module: nn.Module) -> dict[str, PackedLinear]:
    """Name of the weight -> its layer, of every packed layer of a network."""
    return {
        f"{name}{_WEIGHT}": child for name, child in module.named_modules() if isinstance(child, PackedLinear)
    }
