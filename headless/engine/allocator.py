"""What the engine asks of the device's memory. A seam: tests script where it runs out."""

from __future__ import annotations

import gc
from typing import Protocol

import torch


class Allocator(Protocol):
    """The device's memory, and the points of a run at which memory is taken."""

    def free(self) -> int | None:
        """Bytes that can be had now; None where the device is main memory."""

    def begin(self, point: str) -> None:
        """A stage begins: `loading`, `text`, `conditioning`, `step 1`, ..., `decoding`.

        May raise `torch.OutOfMemoryError`, as every allocation after it may.
        """

    def peak(self) -> int | None:
        """The most bytes that were taken at once since the last `reset`; None if nobody counts."""

    def reset(self) -> None:
        """Give back what is not in use, and count peaks anew."""


class DeviceAllocator:
    """Torch's own allocator of a device."""

    def __init__(self, device: torch.device) -> None:
        self._device = device

    def free(self) -> int | None:
        """Bytes free on a CUDA device, with what torch holds without using it."""
        if self._device.type != "cuda":
            return None
        free, _ = torch.cuda.mem_get_info(self._device)
        held = torch.cuda.memory_reserved(self._device) - torch.cuda.memory_allocated(self._device)
        return free + held

    def begin(self, point: str) -> None:
        """Nothing to do: torch counts by itself."""

    def peak(self) -> int | None:
        """Bytes on a CUDA device."""
        return torch.cuda.max_memory_allocated(self._device) if self._device.type == "cuda" else None

    def reset(self) -> None:
        """Collect what only cycles hold, and empty torch's cache."""
        gc.collect()
        if self._device.type == "cuda":
            torch.cuda.empty_cache()
            torch.cuda.reset_peak_memory_stats(self._device)
