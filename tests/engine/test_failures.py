"""Torch's failures in the worker's words."""

from __future__ import annotations

import pytest
import torch

from headless.engine.failures import memory_reported
from headless.errors import OutOfMemory


@pytest.mark.parametrize(
    "error",
    [
        torch.OutOfMemoryError("CUDA out of memory"),
        RuntimeError("[enforce fail at alloc_cpu.cpp] DefaultCPUAllocator: can't allocate memory"),
        MemoryError(),
    ],
)
def test_memory_that_ran_out(error: Exception) -> None:
    with (
        pytest.raises(OutOfMemory, match="ran out while decoding under the memory plan swap"),
        memory_reported(lambda: "decoding", "swap"),
    ):
        raise error


def test_other_failures_stay_what_they_are() -> None:
    with pytest.raises(RuntimeError, match="shape"), memory_reported(lambda: "decoding", "swap"):
        raise RuntimeError("shape mismatch")
