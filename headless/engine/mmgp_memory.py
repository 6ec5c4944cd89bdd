"""The memory plans that leave placing to mmgp, a package of its own, through its documented calls only.

mmgp is imported here and nowhere else, and only when such a plan is used: importing it replaces parts of
safetensors and accelerate.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable, Iterable, Mapping
from typing import Any, Final

import structlog
import torch
from torch import nn

from headless.engine.memory import Loras, move_buffers
from models.lora import bake
from models.weights import FLOAT32_ISLANDS

VERBOSE: Final = 2

log = structlog.get_logger(__name__)


def import_mmgp(debug: bool) -> Any:
    """mmgp's `offload` module; with `debug` it tells what it does."""
    offload = importlib.import_module("mmgp.offload")
    if debug:
        offload.default_verboseLevel = VERBOSE  # type: ignore[attr-defined]  # mmgp has no types
    return offload


class Mmgp:
    """Implements `Memory`. mmgp takes a part over when it is first used, its LoRAs baked in before.

    Nothing is baked into a part that mmgp holds: other LoRAs mean that `reload` reads the part again.
    """

    def __init__(
        self,
        parts: Mapping[str, nn.Module],
        device: torch.device,
        profile: int,
        offload: Any,
        reload: Callable[[str], nn.Module],
    ) -> None:
        self._parts = dict(parts)
        self._device, self._profile = device, profile
        self._offload, self._reload = offload, reload
        self._held: dict[str, Any] = {}
        self._there: str | None = None

    def use(self, part: str) -> nn.Module:
        """The part in mmgp's care, after it has unloaded the one before."""
        if self._there not in (None, part):
            self._held[str(self._there)].unload_all()
        self._there = part
        if part not in self._held:
            self._held[part] = self._take_over(part)
        return self._parts[part]

    def module(self, part: str) -> nn.Module:
        """The part."""
        return self._parts[part]

    def bake(self, part: str, loras: Loras, also: Iterable[str]) -> None:
        """In main memory, before mmgp takes the part over."""
        untouched = not also and part not in self._held
        if not untouched:
            log.info("other LoRAs: the weights are read again, because mmgp holds them", part=part)
            self._let_go(part)
            self._parts[part] = self._reload(part)
        module = self._parts[part]
        bake(module, lambda name: module.get_parameter(name).detach().clone(), loras)

    def on_restored(self, part: str, forget: Callable[[], None]) -> None:
        """Never happens by itself."""

    def close(self) -> None:
        """Make mmgp release everything."""
        for part in tuple(self._held):
            self._let_go(part)

    def _take_over(self, part: str) -> Any:
        """mmgp would cast what is float32 on purpose, quantise what it calls a transformer, and set the
        device on which torch makes every new tensor."""
        module = self._parts[part]
        _lock_islands(module)
        move_buffers(module, self._device)
        try:
            return self._offload.profile({part: module}, self._profile, quantizeTransformer=False)
        finally:
            torch.set_default_device(None)

    def _let_go(self, part: str) -> None:
        held = self._held.pop(part, None)
        if self._there == part:
            self._there = None
        if held is not None:
            held.release()


def _lock_islands(module: nn.Module) -> None:
    for name, child in module.named_modules():
        if FLOAT32_ISLANDS & set(name.split(".")):
            # The attribute by which mmgp knows what must keep its precision.
            child._lock_dtype = torch.float32
