"""Which of the processes that `torchrun` started this one is."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from headless.errors import UsageError

_OURS: Final = ("RANK", "WORLD_SIZE", "LOCAL_RANK", "LOCAL_WORLD_SIZE")
_START: Final = "Start with torchrun --standalone --nproc_per_node N worker.py ..."


@dataclass(frozen=True)
class RankPlace:
    """Rank `rank` of `size`, counted from 0; without torchrun the only one. All of them are on this host.

    `round` tells the ranks of one start from those that torchrun started before, and restarted.
    """

    rank: int = 0
    size: int = 1
    round: str = "0"

    @property
    def leads(self) -> bool:
        """Whether this process talks to the queue; the others only compute."""
        return self.rank == 0


ALONE: Final = RankPlace()
"""A worker of one process."""


def read_place(environ: Mapping[str, str]) -> RankPlace:
    """The place that torchrun's variables say. Raises `UsageError` for more than one host."""
    if environ.get("WORLD_SIZE", "1") == "1":
        return ALONE
    missing = [name for name in _OURS if not environ.get(name, "").isdigit()]
    if missing:
        raise UsageError(
            f"WORLD_SIZE is {environ['WORLD_SIZE']!r}, but {', '.join(missing)} is not set to a number. "
            f"{_START}, or unset WORLD_SIZE."
        )
    rank, size, local_rank, local_size = (int(environ[name]) for name in _OURS)
    if size != local_size:
        raise UsageError(
            f"WORLD_SIZE is {size} and LOCAL_WORLD_SIZE is {local_size}: the ranks of one worker must be on "
            "one host. Start a worker of its own on every host (--nnodes 1); the queue gives each its tasks."
        )
    if rank != local_rank or not rank < size:
        raise UsageError(
            f"RANK is {rank}, LOCAL_RANK {local_rank} and WORLD_SIZE {size}: not ranks of one host. {_START}."
        )
    return RankPlace(rank, size, environ.get("TORCHELASTIC_RESTART_COUNT", "0"))
