"""Failures of torch, in the words of the worker's error tree."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch

from headless.errors import OutOfMemory

_CPU_ALLOCATOR = "DefaultCPUAllocator"


@contextmanager
def memory_reported(doing: str, plan: str) -> Iterator[None]:
    """Turn an allocation that failed into `OutOfMemory`, which says what was done under which plan."""
    try:
        yield
    except torch.OutOfMemoryError as error:
        raise _out_of_memory(doing, plan) from error
    except RuntimeError as error:
        if _CPU_ALLOCATOR not in str(error):
            raise
        raise _out_of_memory(doing, plan) from error
    except MemoryError as error:
        raise _out_of_memory(doing, plan) from error


def _out_of_memory(doing: str, plan: str) -> OutOfMemory:
    return OutOfMemory(
        f"The memory ran out while {doing} under the memory plan {plan}. "
        "Ask for a smaller or shorter clip, start the worker with --memory swap, or use a larger machine."
    )
