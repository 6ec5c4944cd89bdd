"""The memory plan that keeps one part on the device at a time."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field

import torch
from torch import Tensor

from headless.engine.memory import Loras, masters_of, move_buffers
from models.lora import bake
from models.weights_packed import lay_on_packed


@dataclass
class _Part:
    module: torch.nn.Module
    masters: dict[str, Tensor]
    forget: list[Callable[[], None]] = field(default_factory=list)


class Swap:
    """Implements `Memory`. The masters of all parts wait in main memory.

    What is written over a part's weights on the device is gone when it leaves; the masters never change.
    """

    def __init__(self, parts: Mapping[str, torch.nn.Module], device: torch.device) -> None:
        self._device = device
        self._parts = {name: _Part(module, masters_of(module, device)) for name, module in parts.items()}
        self._there: str | None = None
        for part in self._parts.values():
            move_buffers(part.module, device)

    def use(self, part: str) -> torch.nn.Module:
        """The part, after the one before it has left."""
        if self._there != part:
            self._leave()
            # Noted first: a part that came only halfway, because memory ran out, leaves again.
            self._there = part
            entry = self._parts[part]
            for name, parameter in entry.module.named_parameters():
                master = entry.masters[name]
                parameter.data = torch.empty_like(master, device=self._device)
                parameter.data.copy_(master, non_blocking=True)
        return self._parts[part].module

    def module(self, part: str) -> torch.nn.Module:
        """The part."""
        return self._parts[part].module

    def bake(self, part: str, loras: Loras, also: Iterable[str]) -> None:
        """On the device, from the masters."""
        self.use(part)
        entry = self._parts[part]
        bake(entry.module, entry.masters.__getitem__, loras, also)

    def on_restored(self, part: str, forget: Callable[[], None]) -> None:
        """Happens whenever the part leaves the device."""
        self._parts[part].forget.append(forget)

    def close(self) -> None:
        """Nothing to let go of."""

    def _leave(self) -> None:
        if self._there is None:
            return
        entry, self._there = self._parts[self._there], None
        for name, parameter in entry.module.named_parameters():
            parameter.data = entry.masters[name]
        lay_on_packed(entry.module, (), stay=False)
        for forget in entry.forget:
            forget()
