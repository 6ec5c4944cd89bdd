"""A device that pretends to have less memory than it has, and an engine that has to make do with it."""

from __future__ import annotations

import gc

import torch

from headless.engine.allocator import DeviceAllocator


class Capped(DeviceAllocator):
    """Torch's allocator with `cap` bytes at most. On the CPU nothing holds it to that: it only says so."""

    def __init__(self, device: torch.device, cap: int) -> None:
        super().__init__(device)
        self._capped, self._cap = device, cap

    def free(self) -> int | None:
        """What is left of the cap."""
        taken = torch.cuda.memory_allocated(self._capped) if self._capped.type == "cuda" else 0
        return self._cap - taken


def hold_to(device: torch.device, cap: int | None) -> None:
    """Make torch fail beyond `cap` bytes, or let it have the whole device again."""
    gc.collect()
    if device.type == "cuda":
        torch.cuda.empty_cache()
        total = torch.cuda.get_device_properties(device).total_memory
        torch.cuda.set_per_process_memory_fraction(1.0 if cap is None else min(cap / total, 1.0), device)
        torch.cuda.reset_peak_memory_stats(device)


def peak_gb(device: torch.device) -> float | None:
    """The most that tensors held since `hold_to`; None where nobody counts."""
    return round(torch.cuda.max_memory_allocated(device) / 1e9, 2) if device.type == "cuda" else None
