"""The memory plan with the least on the device: a network's blocks come one at a time, as they compute."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import Any, Final

import torch
from torch import Tensor, nn

from headless.engine.memory import Loras, masters_of, move_buffers
from models.weights_packed import lay_on_packed

CUDA: Final[Any] = torch.cuda
"""Its streams and events have no types."""
OUTER: Final = -1
"""Index of the group of everything that lies in no block; it stays while its part is in use."""


class Stream:
    """Implements `Memory`. Besides a part's outer layers, at most two of its blocks are on the device.

    The next block is copied beside the computation, where the device can. LoRAs are added to the weights as
    they arrive, with the same arithmetic as elsewhere; the masters in main memory never change.
    """

    def __init__(self, parts: Mapping[str, nn.Module], device: torch.device) -> None:
        side = CUDA.Stream(device) if device.type == "cuda" else None
        self._parts = {name: _StreamedPart(module, device, side) for name, module in parts.items()}
        self._there: str | None = None

    def use(self, part: str) -> nn.Module:
        """The part; its blocks follow when it runs."""
        if self._there != part:
            if self._there is not None:
                self._parts[self._there].leave()
            self._there = part
            self._parts[part].place(OUTER)
        return self._parts[part].module

    def module(self, part: str) -> nn.Module:
        """The part."""
        return self._parts[part].module

    def bake(self, part: str, loras: Loras, also: Iterable[str]) -> None:
        """Remembered, and added whenever weights arrive."""
        del also  # masters never change, so nothing of earlier LoRAs is left
        self._parts[part].loras = loras
        deltas = [(lora.deltas, strength) for lora, strength in loras]
        lay_on_packed(self._parts[part].module, deltas, stay=False)
        self._parts[part].drop_prefetched()
        if self._there == part:
            self._parts[part].place(OUTER)

    def on_restored(self, part: str, forget: Callable[[], None]) -> None:
        """Never happens here: what is baked is remembered."""

    def close(self) -> None:
        """Take the hooks off the blocks."""
        for part in self._parts.values():
            part.close()


class _StreamedPart:
    """One network, its masters in main memory, and hooks that bring its blocks."""

    def __init__(self, module: nn.Module, device: torch.device, side: Any) -> None:
        self.module = module
        self.loras: Loras = ()
        self._device, self._side = device, side
        self._masters = masters_of(module, device)
        move_buffers(module, device)
        blocks = block_lists(module)
        self._groups = _groups(module, blocks)
        self._count = len(blocks)
        self._placed: set[int] = set()
        self._coming: dict[int, tuple[dict[str, Tensor], Any]] = {}
        self._done: Any = None
        self._handles = [
            handle
            for index, block in enumerate(blocks)
            for handle in (
                block.register_forward_pre_hook(lambda *_, i=index: self.place(i)),
                block.register_forward_hook(lambda *_, i=index: self._finish(i)),
            )
        ]

    def place(self, index: int) -> None:
        """Put a group's weights on the device, those that were sent for or new ones."""
        for other in self._placed - {OUTER, index}:
            self._remove(other)
        # Noted first: a group that came only halfway, because memory ran out, is removed like any other.
        self._placed.add(index)
        tensors, arrived = self._coming.pop(index) if index in self._coming else self._send_for(index)
        if arrived is not None:
            present = CUDA.current_stream(self._device)
            present.wait_event(arrived)
            for tensor in tensors.values():
                tensor.record_stream(present)
        for name, tensor in tensors.items():
            self.module.get_parameter(name).data = tensor

    def leave(self) -> None:
        """Take everything off the device."""
        self.drop_prefetched()
        for index in tuple(self._placed):
            self._remove(index)

    def drop_prefetched(self) -> None:
        """Forget weights that were sent for."""
        self._coming.clear()

    def close(self) -> None:
        """Take the hooks off."""
        self.leave()
        for handle in self._handles:
            handle.remove()

    def _finish(self, index: int) -> None:
        """A block's kernels are queued: send for the next one while they run, and let this one go."""
        self._remove(index)
        if self._side is None:
            return
        before, self._done = self._done, CUDA.Event()
        self._done.record(CUDA.current_stream(self._device))
        if before is not None:
            # Else the host would run ahead and have every block on the device at once.
            before.synchronize()
        following = (index + 1) % self._count
        self._coming[following] = self._send_for(following)

    def _send_for(self, index: int) -> tuple[dict[str, Tensor], Any]:
        """A group's weights with the LoRAs in them, and the event of their arrival."""
        with self._beside():
            tensors = {name: self._arriving(name) for name in self._groups[index]}
            if self._side is None:
                return tensors, None
            arrived = CUDA.Event()
            arrived.record(self._side)
        return tensors, arrived

    def _arriving(self, name: str) -> Tensor:
        master = self._masters[name]
        tensor = torch.empty_like(master, device=self._device).copy_(master, non_blocking=True)
        added = [(lora.deltas[name], strength) for lora, strength in self.loras if name in lora.deltas]
        if added:
            # As `models.lora.bake` adds them: in float32, rounded once.
            total = tensor.to(torch.float32, copy=True)
            for delta, strength in added:
                total += delta.of(tensor.shape, tensor.device) * strength
            tensor.copy_(total)
        return tensor

    def _beside(self) -> AbstractContextManager[None]:
        return nullcontext() if self._side is None else _stream(self._side)

    def _remove(self, index: int) -> None:
        self._placed.discard(index)
        for name in self._groups[index]:
            self.module.get_parameter(name).data = self._masters[name]


@contextmanager
def _stream(side: Any) -> Iterator[None]:
    with CUDA.stream(side):
        yield


def block_lists(module: nn.Module) -> list[nn.Module]:
    """The blocks of a transformer: the members of its largest list of modules, in order."""
    lists = [child for child in module.modules() if isinstance(child, nn.ModuleList)]
    return list(max(lists, key=_size, default=()))


def _size(module: nn.Module) -> int:
    return sum(parameter.numel() for parameter in module.parameters())


def _groups(module: nn.Module, blocks: list[nn.Module]) -> dict[int, list[str]]:
    owner = {id(p): index for index, block in enumerate(blocks) for p in block.parameters()}
    groups: dict[int, list[str]] = {OUTER: [], **{index: [] for index in range(len(blocks))}}
    for name, parameter in module.named_parameters():
        groups[owner.get(id(parameter), OUTER)].append(name)
    return groups
