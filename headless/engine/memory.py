"""What lies on the device when: the seam of the memory plans, and the plan that keeps everything there.

A part is a network with a name. `use` gives it ready to run, `bake` puts LoRAs into its weights.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Protocol

import torch
from torch import Tensor

from models.lora import Lora, bake

Loras = Sequence[tuple[Lora, float]]
"""LoRAs in the order in which they are added, with their strengths."""


class Memory(Protocol):
    """Brings parts to the device."""

    def use(self, part: str) -> torch.nn.Module:
        """The part, ready to run on the device."""

    def module(self, part: str) -> torch.nn.Module:
        """The part wherever it is, to look at its shapes."""

    def bake(self, part: str, loras: Loras, also: Iterable[str]) -> None:
        """Make the weights of a part the loaded ones plus exactly these LoRAs, whenever it is used.

        `also` names the parameters that earlier LoRAs had changed. Ask for the part again afterwards.
        """

    def on_restored(self, part: str, forget: Callable[[], None]) -> None:
        """`forget` is called whenever the part's weights on the device have become pristine again."""

    def close(self) -> None:
        """Let go of everything beside the parts themselves."""


class Resident:
    """Everything on the device, always. A pristine copy of a parameter is made when it is first asked for."""

    def __init__(self, parts: Mapping[str, torch.nn.Module], device: torch.device) -> None:
        self._parts = {name: module.to(device) for name, module in parts.items()}
        self._kept: dict[tuple[str, str], Tensor] = {}

    def use(self, part: str) -> torch.nn.Module:
        """The part."""
        return self._parts[part]

    def module(self, part: str) -> torch.nn.Module:
        """The part."""
        return self._parts[part]

    def bake(self, part: str, loras: Loras, also: Iterable[str]) -> None:
        """In place, from the copies in main memory."""
        bake(self._parts[part], lambda name: self._pristine(part, name), loras, also)

    def on_restored(self, part: str, forget: Callable[[], None]) -> None:
        """Never happens here."""

    def close(self) -> None:
        """Nothing to let go of."""

    def _pristine(self, part: str, parameter: str) -> Tensor:
        if (part, parameter) not in self._kept:
            live = self._parts[part].get_parameter(parameter)
            self._kept[part, parameter] = live.detach().to("cpu", copy=True)
        return self._kept[part, parameter]


def masters_of(module: torch.nn.Module, device: torch.device) -> dict[str, Tensor]:
    """The parameters in main memory, pinned where that helps; the module's own point at them."""
    masters: dict[str, Tensor] = {}
    for name, parameter in module.named_parameters():
        tensor = parameter.detach().to("cpu")
        parameter.data = masters[name] = tensor.pin_memory() if device.type == "cuda" else tensor
    return masters


def move_buffers(module: torch.nn.Module, device: torch.device) -> None:
    """Put the buffers on the device, for good: they are small."""
    for child in module.modules():
        for name, buffer in child.named_buffers(recurse=False):
            setattr(child, name, buffer.to(device))
