"""Ranks as threads of this process: the very groups of a worker under torchrun, without its start-up."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import timedelta
from typing import Any, TypeVar

import torch
import torch.distributed as dist

from headless.engine import joining
from headless.engine.allocator import Allocator, DeviceAllocator
from headless.engine.follower import Follower
from headless.engine.links import Links
from headless.engine.loading import LoadOptions
from headless.engine.team import Leader
from headless.errors import RankLost
from headless.rank_place import RankPlace

CPU = torch.device("cpu")
PATIENCE = 60.0
T = TypeVar("T")


def group(store: Any, place: RankPlace) -> Any:
    """One of a rank's groups."""
    return joining.gloo_group(store, place, timedelta(seconds=PATIENCE))


def on_every_rank(size: int, work: Callable[[int], T]) -> list[T]:
    """What `work` returns for each rank, done at the same time."""
    results: dict[int, T] = {}
    errors: list[BaseException] = []

    def run(rank: int) -> None:
        try:
            with torch.inference_mode():
                results[rank] = work(rank)
        except BaseException as error:
            errors.append(error)

    threads = [threading.Thread(target=run, args=(rank,)) for rank in range(size)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(PATIENCE)
    if errors:
        raise errors[0]
    return [results[rank] for rank in range(size)]


def linked(size: int) -> list[Links]:
    """The links of `size` ranks."""
    store: Any = dist.HashStore()  # type: ignore[attr-defined]  # it is there, and not in the stub

    def link(rank: int) -> Links:
        place = RankPlace(rank, size)
        named = {name: group(joining.TORCH.PrefixStore(name, store), place) for name in GROUPS}
        return Links(rank, size, **named)

    return on_every_rank(size, link)


GROUPS = ("idle", "talk", "data")


class Crew:
    """A leader's team; the followers serve in threads."""

    def __init__(self, links: Sequence[Links], allocators: Sequence[Allocator]) -> None:
        self.links = links
        self.leader = Leader(links[0])
        self.lost: list[RankLost] = []
        self._threads = [
            threading.Thread(target=self._follow, args=(own, allocator), daemon=True)
            for own, allocator in zip(links[1:], allocators, strict=True)
        ]
        for thread in self._threads:
            thread.start()

    def gone(self) -> bool:
        """Whether every follower has left, waiting for it."""
        for thread in self._threads:
            thread.join(PATIENCE)
        return not any(thread.is_alive() for thread in self._threads)

    def _follow(self, links: Links, allocator: Allocator) -> None:
        try:
            Follower(links, CPU, allocator, LoadOptions()).serve()
        except RankLost as error:
            self.lost.append(error)


@contextmanager
def crew(size: int = 2, *allocators: Allocator) -> Iterator[Crew]:
    """A team of `size`; `allocators` are the followers'."""
    given = allocators or [DeviceAllocator(CPU) for _ in range(size - 1)]
    made = Crew(linked(size), given)
    try:
        yield made
    finally:
        made.leader.dismiss()
        assert made.gone()
