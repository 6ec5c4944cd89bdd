"""Failures of torch, in the words of the worker's error tree."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

import torch

from headless.errors import OutOfMemory

_CPU_ALLOCATOR = "DefaultCPUAllocator"


class RanOut(OutOfMemory):
    """Memory ran out under one plan. `doing` says in which stage."""

    def __init__(self, doing: str, plan: str) -> None:
        super().__init__(f"The memory ran out while {doing} under the memory plan {plan}.")
        self.doing = doing


@contextmanager
def memory_reported(doing: Callable[[], str], plan: str) -> Iterator[None]:
    """Turn an allocation that failed into `RanOut`, which says what was done under which plan."""
    try:
        yield
    except (torch.OutOfMemoryError, MemoryError) as error:
        raise RanOut(doing(), plan) from error
    except RuntimeError as error:
        if _CPU_ALLOCATOR not in str(error):
            raise
        raise RanOut(doing(), plan) from error
