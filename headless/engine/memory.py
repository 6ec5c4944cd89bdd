"""What lies on the device when. Two plans so far: everything always, or one large part at a time.

A part is a network with a name. `use` gives it ready to run; `pristine` gives its weights as they were
loaded, whatever has been written over them on the device since.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Final, Protocol

import torch
from torch import Tensor

from headless.errors import UsageError


class MemoryPlan(StrEnum):
    """Plans that run today."""

    RESIDENT = "resident"
    SWAP = "swap"


PLANNED: Final = ("mmgp:1", "mmgp:2", "mmgp:3", "mmgp:4", "mmgp:5", "stream")
SPARE: Final = 1.25
"""What a resident model needs over its weights: activations and the VAE's chunks."""


def check_plan(asked: str) -> None:
    """Raises `UsageError` unless `asked` is `auto` or a plan that runs."""
    if asked in PLANNED:
        raise UsageError(f"--memory {asked} is not available yet. Use auto, resident or swap.")
    if asked not in ("auto", *MemoryPlan):
        raise UsageError(f"--memory is {asked!r}; legal values are auto, resident and swap.")


def choose_plan(asked: str, device: torch.device, weight_bytes: int) -> MemoryPlan:
    """The plan of that name; `auto` takes `resident` where the weights fit well. Raises `UsageError`."""
    check_plan(asked)
    if asked != "auto":
        return MemoryPlan(asked)
    if device.type != "cuda":
        return MemoryPlan.RESIDENT
    free, _ = torch.cuda.mem_get_info(device)
    return MemoryPlan.RESIDENT if weight_bytes * SPARE < free else MemoryPlan.SWAP


class Memory(Protocol):
    """Brings parts to the device."""

    def use(self, part: str) -> torch.nn.Module:
        """The part, on the device."""

    def module(self, part: str) -> torch.nn.Module:
        """The part wherever it is, to look at its shapes."""

    def pristine(self, part: str, parameter: str) -> Tensor:
        """A parameter as it was loaded. Never the tensor on the device; do not write to it."""

    def on_restored(self, part: str, forget: Callable[[], None]) -> None:
        """`forget` is called whenever the part's weights on the device have become pristine again."""


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

    def pristine(self, part: str, parameter: str) -> Tensor:
        """A copy in main memory. Ask before anything is written over the parameter for the first time."""
        if (part, parameter) not in self._kept:
            live = self._parts[part].get_parameter(parameter)
            self._kept[part, parameter] = live.detach().to("cpu", copy=True)
        return self._kept[part, parameter]

    def on_restored(self, part: str, forget: Callable[[], None]) -> None:
        """Never happens here."""


@dataclass
class _Part:
    module: torch.nn.Module
    masters: dict[str, Tensor]
    forget: list[Callable[[], None]] = field(default_factory=list)


class Swap:
    """One part on the device at a time; the masters of all wait in main memory, pinned where that helps.

    What is written over a part's weights on the device is gone when it leaves; the masters never change.
    """

    def __init__(self, parts: Mapping[str, torch.nn.Module], device: torch.device) -> None:
        self._device = device
        self._parts = {name: _Part(module, _masters(module, device)) for name, module in parts.items()}
        self._there: str | None = None
        for part in self._parts.values():
            _move_buffers(part.module, device)

    def use(self, part: str) -> torch.nn.Module:
        """The part, after the one before it has left."""
        if self._there != part:
            self._leave()
            entry = self._parts[part]
            for name, parameter in entry.module.named_parameters():
                master = entry.masters[name]
                parameter.data = torch.empty_like(master, device=self._device)
                parameter.data.copy_(master, non_blocking=True)
            self._there = part
        return self._parts[part].module

    def module(self, part: str) -> torch.nn.Module:
        """The part."""
        return self._parts[part].module

    def pristine(self, part: str, parameter: str) -> Tensor:
        """The master in main memory."""
        return self._parts[part].masters[parameter]

    def on_restored(self, part: str, forget: Callable[[], None]) -> None:
        """Happens whenever the part leaves the device."""
        self._parts[part].forget.append(forget)

    def _leave(self) -> None:
        if self._there is None:
            return
        entry, self._there = self._parts[self._there], None
        for name, parameter in entry.module.named_parameters():
            parameter.data = entry.masters[name]
        for forget in entry.forget:
            forget()


def _masters(module: torch.nn.Module, device: torch.device) -> dict[str, Tensor]:
    masters: dict[str, Tensor] = {}
    for name, parameter in module.named_parameters():
        tensor = parameter.detach().to("cpu")
        parameter.data = masters[name] = tensor.pin_memory() if device.type == "cuda" else tensor
    return masters


def _move_buffers(module: torch.nn.Module, device: torch.device) -> None:
    for child in module.modules():
        for name, buffer in child.named_buffers(recurse=False):
            setattr(child, name, buffer.to(device))


def make_memory(plan: MemoryPlan, parts: Mapping[str, torch.nn.Module], device: torch.device) -> Memory:
    """The memory of that plan."""
    return Resident(parts, device) if plan is MemoryPlan.RESIDENT else Swap(parts, device)
