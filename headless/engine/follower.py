"""The other ranks' side: whatever rank 0 tells them to do with a model's experts, until it lets them go."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any, Final

import structlog
import torch

from headless.engine.allocator import Allocator, DeviceAllocator
from headless.engine.compiled import keep_compiled
from headless.engine.experts import Bakery, read_baked
from headless.engine.failures import memory_reported
from headless.engine.joining import joined, met, rank_device
from headless.engine.links import Links, Message, PeerFailed
from headless.engine.loading import LoadOptions, Recipe, load_experts
from headless.engine.memory import Memory
from headless.engine.phases import Expert
from headless.engine.plans import MemoryPlan
from headless.engine.team import Member, agreed, told_by_rank
from headless.errors import RankLost
from headless.rank_place import RankPlace
from headless.rank_signals import signals_passed_on

_DOING: Final = {
    "load": "loading",
    "prepare": "preparing an expert",
    "run": "running an expert",
    "release": "letting a model go",
}

log = structlog.get_logger(__name__)


def follow_rank_0(
    place: RankPlace,
    asked: str,
    *,
    debug: bool = False,
    attention: str = "auto",
    compile_blocks: bool = False,
    cache: Path | None = None,
) -> None:
    """Join the other ranks and serve; the settings are those of `WanEngine`. For the main thread.

    Raises `UsageError`, `RankLost`.
    """
    if cache is not None:
        keep_compiled(cache / "compiled")
    device = rank_device(asked, place)
    options = LoadOptions(debug=debug, attention=attention, compile=compile_blocks)
    with joined(place, torch.device(device)) as links:
        leader = met(links, device)[0]
        with signals_passed_on(int(leader["process"])):
            log.info("waiting for work", device=device)
            Follower(links, torch.device(device), DeviceAllocator(torch.device(device)), options).serve()
    log.info("rank 0 is done")


class Follower:
    """One rank without a queue, storage, text encoder or VAE: it holds the experts only."""

    def __init__(
        self, links: Links, device: torch.device, allocator: Allocator, options: LoadOptions
    ) -> None:
        self._links, self._device, self._allocator = links, device, allocator
        self._options = replace(options, team=Member(links))
        self._memory: Memory | None = None
        self._bakery: Bakery | None = None
        self._plan = MemoryPlan.RESIDENT

    def serve(self) -> None:
        """Obey until told to stop. Raises `RankLost` when another rank has died.

        Errors of a piece of work are rank 0's to deal with; it has heard of them when the next command comes.
        """
        while (command := self._links.hear()) is not None and command["do"] != "stop":
            if not self._obeyed(command) and command["do"] == "load":
                self._release()

    @torch.inference_mode()
    def _obeyed(self, command: dict[str, Any]) -> bool:
        others: list[Message] = []
        try:
            with agreed(self._links, others), memory_reported(lambda: _DOING[command["do"]], self._plan):
                self._obey(command)
        except RankLost:
            raise
        except PeerFailed:
            log.info("another rank cannot go on", doing=command["do"], ranks=told_by_rank(others))
        except Exception as error:
            log.warning("failed, rank 0 decides what comes next", doing=command["do"], exc_info=error)
        else:
            return True
        return False

    def _obey(self, command: dict[str, Any]) -> None:
        match command["do"]:
            case "release":
                self._release()
            case "load":
                self._load(command)
            case "prepare":
                self._prepare(command)
            case "run":
                self._run(command)
            case unknown:
                raise ValueError(f"rank 0 asks for {unknown!r}, which this rank does not know")

    def _load(self, command: dict[str, Any]) -> None:
        self._allocator.begin("loading")
        dtype: torch.dtype = getattr(torch, command["dtype"])
        files = tuple((role, Path(path)) for role, path in command["files"])
        recipe = Recipe(files=files, dtype=dtype, vae_dtype=dtype)
        self._plan = plan = MemoryPlan(command["plan"])
        self._memory, self._bakery = load_experts(recipe, plan, self._device, self._options)
        log.info("experts loaded", memory=plan.value, device=str(self._device))

    def _prepare(self, command: dict[str, Any]) -> None:
        """Bring an expert to the device, with LoRAs in its weights."""
        expert, bakery = Expert(command["expert"]), self._bakery
        if bakery is None:
            raise RuntimeError("no model is loaded on this rank")
        key = tuple(
            ((path, inode, size, time), strength) for (path, inode, size, time), strength in command["key"]
        )
        bakery.expert(expert, key, lambda: read_baked(key, bakery.shapes(expert)))

    def _run(self, command: dict[str, Any]) -> None:
        if self._memory is None:
            raise RuntimeError("no model is loaded on this rank")
        self._allocator.begin("running")
        tensors = {
            name: torch.empty(shape, dtype=getattr(torch, dtype), device=self._device)
            for name, (shape, dtype) in command["tensors"].items()
        }
        expert = self._memory.use(command["part"])
        self._links.share(list(tensors.values()))
        expert(**tensors, return_dict=False)

    def _release(self) -> None:
        if self._memory is not None:
            self._memory.close()
        self._memory = self._bakery = None
        self._allocator.reset()
