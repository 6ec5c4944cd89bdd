"""How the processes that torchrun started find each other, and which device is whose."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from typing import Any, Final

import structlog
import torch
import torch.distributed as dist
from torch.distributed.rendezvous import rendezvous

from headless.engine.links import Group, Links
from headless.engine.team import Leader
from headless.errors import RankLost, UsageError
from headless.rank_place import RankPlace
from headless.rank_signals import leaving_at_once

TORCH: Final[Any] = dist
"""Its stores and groups have no types."""
MEET: Final = timedelta(seconds=300)
"""How long ranks wait for each other to start."""
IDLE: Final = timedelta(days=365)
"""How long a rank waits for work. A leader that dies closes its connections."""
ANSWER: Final = timedelta(seconds=1800)
"""How long ranks wait for each other within a piece of work: as long as for an engine that says nothing."""
LOOPBACK: Final = "127.0.0.1"
"""Where the ranks listen: they speak without a password."""

log = structlog.get_logger(__name__)


def rank_device(asked: str, place: RankPlace) -> str:
    """The device of a rank: with GPUs, rank n has the nth. Raises `UsageError` where there are too few."""
    if asked == "cpu" or (asked == "auto" and not torch.cuda.is_available()):
        return "cpu"
    count = torch.cuda.device_count()
    if count < place.size:
        raise UsageError(
            f"{place.size} ranks need a GPU each, and torch {torch.__version__} sees {count}. Start torchrun "
            "with --nproc_per_node of that or less, or show the worker more of them (CUDA_VISIBLE_DEVICES)."
        )
    return f"cuda:{place.rank}"


@contextmanager
def joined(place: RankPlace, device: torch.device, answer: timedelta = ANSWER) -> Iterator[Links]:
    """The links to the other ranks, once all are there.

    `answer`: how long a rank may be silent within a piece of work. Raises `UsageError` where torchrun's
    variables are wrong, `RankLost` where not all ranks come.
    """
    if device.type == "cuda":
        torch.cuda.set_device(device)
    try:
        with leaving_at_once():
            links = _linked(place, device, answer)
    except ValueError as error:
        raise UsageError(f"The ranks cannot meet: {error}. Start them with torchrun.") from error
    except RuntimeError as error:
        why = str(error).splitlines()[0]
        raise RankLost(f"Not all {place.size} ranks came together ({why}). Start all ranks anew.") from error
    try:
        yield links
    finally:
        _part(links)


def _linked(place: RankPlace, device: torch.device, answer: timedelta) -> Links:
    meeting = next(rendezvous("env://", place.rank, place.size, timeout=MEET))[0]
    store = TORCH.PrefixStore(f"headless/{place.round}", meeting)
    return Links(
        place.rank,
        place.size,
        idle=gloo_group(TORCH.PrefixStore("idle", store), place, IDLE),
        talk=gloo_group(TORCH.PrefixStore("talk", store), place, answer),
        data=_data_group(TORCH.PrefixStore("data", store), place, device, answer),
        on_broken=_abort,
    )


@contextmanager
def leading(place: RankPlace, asked: str) -> Iterator[Leader]:
    """Rank 0's team, on the device that `--device` asks for; the others are let go when the block ends."""
    device = rank_device(asked, place)
    with joined(place, torch.device(device)) as links:
        ranks = met(links, device)
        log.info(
            "ranks joined",
            ranks=place.size,
            devices=[rank["device"] for rank in ranks],
            processes=[rank["process"] for rank in ranks],
        )
        leader = Leader(links)
        try:
            yield leader
        finally:
            leader.dismiss()


def met(links: Links, device: str) -> list[dict[str, Any]]:
    """What every rank says of itself: its `process` and its `device`. All of them must call it."""
    return [told or {} for told in links.compare({"process": os.getpid(), "device": device})]


def gloo_group(store: Any, place: RankPlace, timeout: timedelta) -> Group:
    """A group that speaks over the loopback interface. Raises `RuntimeError` when the others do not come."""
    gloo = TORCH.ProcessGroupGloo
    options = gloo._Options()
    options._devices = [gloo.create_device(hostname=LOOPBACK)]
    options._timeout = timeout
    group: Group = gloo(store, place.rank, place.size, options)
    return group


def _data_group(store: Any, place: RankPlace, device: torch.device, timeout: timedelta) -> Group:
    if device.type != "cuda":
        return gloo_group(store, place, timeout)
    dist.init_process_group(
        "nccl", store=store, rank=place.rank, world_size=place.size, device_id=device, timeout=timeout
    )
    world: Any = dist.group.WORLD
    group: Group = world
    return group


def _abort() -> None:
    """End NCCL's kernels: those that wait for a lost rank would keep the device from everything else."""
    if dist.is_initialized():
        world: Any = dist.group.WORLD
        world.abort()


def _part(links: Links) -> None:
    """Let go of NCCL's group, which takes all ranks; where one is lost, it has been aborted."""
    if dist.is_initialized() and not links.broken:
        dist.destroy_process_group()
