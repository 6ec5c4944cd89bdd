"""The memory plans: a ladder, most memory first, and which rung to begin on."""

from __future__ import annotations

import importlib.util
from collections.abc import Mapping, Sequence
from enum import StrEnum
from typing import Final

import torch

from headless.errors import UsageError

WORKING_BYTES: Final = 10 * 10**9
"""What a forward or the VAE takes besides the weights: 81 frames of 1280 x 720 need about this much."""


class MemoryPlan(StrEnum):
    """Rungs, most memory first. The last one is never asked for: its tiles leave marks in the picture."""

    RESIDENT = "resident"
    SWAP = "swap"
    MMGP_1 = "mmgp:1"
    MMGP_2 = "mmgp:2"
    MMGP_3 = "mmgp:3"
    MMGP_4 = "mmgp:4"
    MMGP_5 = "mmgp:5"
    STREAM = "stream"
    STREAM_TILES = "stream+tiles"

    @property
    def profile(self) -> int | None:
        """The number of mmgp's profile, or None for the other plans."""
        kind, _, number = self.value.partition(":")
        return int(number) if kind == "mmgp" else None

    @property
    def tiles(self) -> bool:
        """Whether the VAE works in tiles."""
        return self is MemoryPlan.STREAM_TILES


WEIGHTS: Final = ("auto", "unpacked", "packed")
ASKABLE: Final = ("auto", *(plan.value for plan in MemoryPlan if not plan.tiles))


def check_plan(asked: str, device: torch.device) -> None:
    """Raises `UsageError` unless `asked` is `auto` or a plan that can run on `device`."""
    if asked not in ASKABLE:
        raise UsageError(f"--memory is {asked!r}; legal values are {', '.join(ASKABLE)}.")
    if asked != "auto" and MemoryPlan(asked).profile and not mmgp_usable(device):
        raise UsageError(
            f"--memory {asked} needs a CUDA device and the package mmgp; the device is {device} and mmgp is "
            f"{'' if _mmgp_installed() else 'not '}installed. Use auto, resident, swap or stream."
        )


def check_weights(asked: str, plan: str, ranks: int) -> None:
    """Raises `UsageError` unless `asked` is one of `WEIGHTS` and goes with the memory plan and the ranks."""
    if asked not in WEIGHTS:
        raise UsageError(f"--weights is {asked!r}; legal values are {', '.join(WEIGHTS)}.")
    if asked != "packed":
        return
    if plan != "auto" and MemoryPlan(plan).profile:
        raise UsageError(f"--weights packed does not go with --memory {plan}: mmgp would repack them.")
    if ranks > 1:
        raise UsageError(f"--weights packed is for one process, and torchrun started {ranks}. Use unpacked.")


def stays_packed(
    asked: str, plan: str, unpacked: Mapping[str, int], packed: Mapping[str, int], free: int | None
) -> bool:
    """Whether transformers keep the packed weights of their files.

    `auto` unpacks them, which computes faster, unless that costs a rung of the ladder. `unpacked`, `packed`:
    bytes of every part either way.
    """
    if asked != "auto" or plan != "auto":
        return asked == "packed"
    ladder = list(MemoryPlan)
    return ladder.index(choose_plan(plan, packed, free)) < ladder.index(choose_plan(plan, unpacked, free))


def choose_plan(asked: str, sizes: Mapping[str, int], free: int | None) -> MemoryPlan:
    """The plan of that name; `auto` takes the highest one that fits.

    `sizes`: bytes of every part on the device. `free`: bytes, or None where the device is main memory.
    """
    if asked != "auto":
        return MemoryPlan(asked)
    if free is None or sum(sizes.values()) + WORKING_BYTES < free:
        return MemoryPlan.RESIDENT
    return MemoryPlan.SWAP if max(sizes.values()) + WORKING_BYTES < free else MemoryPlan.STREAM


def rungs_below(plan: MemoryPlan) -> Sequence[MemoryPlan]:
    """The rungs that are left when memory ran out under `plan`, the next one first.

    mmgp's are passed over unless `plan` is one of them: its licence is the operator's decision.
    """
    ladder = list(MemoryPlan)
    below = ladder[ladder.index(plan) + 1 :]
    return [rung for rung in below if plan.profile or not rung.profile]


def mmgp_usable(device: torch.device) -> bool:
    """Whether mmgp can take a model over: it cannot without CUDA. Looks for it without importing it."""
    return device.type == "cuda" and _mmgp_installed()


def _mmgp_installed() -> bool:
    return importlib.util.find_spec("mmgp") is not None
