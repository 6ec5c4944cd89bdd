"""The engine: Wan's networks in this process, on a GPU or on the CPU."""

from __future__ import annotations

import copy
import platform
import time
from collections.abc import Mapping, Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any, Final

import structlog
import torch

from headless.engine.allocator import Allocator, DeviceAllocator
from headless.engine.compiled import keep_compiled, warm_up
from headless.engine.failures import RanOut, memory_reported
from headless.engine.ladder import HELD, PLAN, Ladder
from headless.engine.loading import LoadedModel, LoadOptions, make_recipe
from headless.engine.plans import check_plan, check_weights
from headless.engine.prompt_cache import PromptCache
from headless.engine.segment_run import SegmentRun
from headless.engine.team import Alone, Team
from headless.errors import UsageError
from headless.ports import ModelRegistry
from headless.segment import EngineListener, Generation, SegmentRequest
from headless.task import Phase
from wan2gp_patch.frames import latent_count

USUAL_SIZE: Final = {"height": 480, "width": 832}
USUAL_FRAMES: Final = 81

log = structlog.get_logger(__name__)


class WanEngine:
    """Implements `Engine`. Keeps one model in memory between jobs; a model with the same files stays loaded.

    `folders` are searched in this order for the files that definitions name. `device` is `auto`, `cpu`,
    `cuda` or `cuda:N`; `memory` is one of `plans.ASKABLE`. `cache` is a folder that
    keeps prompts' embeddings and compiled blocks between runs; `attention` is one of `attention.ASKABLE`,
    `weights` of `plans.WEIGHTS`: what is packed in files is unpacked in memory, or not, or as there is room.
    With `compile_blocks` a model is warmed up, at its usual size, when it is loaded. `team`: the other ranks,
    if there are any. Raises `UsageError`.
    """

    def __init__(
        self,
        registry: ModelRegistry,
        folders: Sequence[Path],
        *,
        device: str = "auto",
        memory: str = "auto",
        debug: bool = False,
        cache: Path | None = None,
        attention: str = "auto",
        compile_blocks: bool = False,
        weights: str = "auto",
        allocator: Allocator | None = None,
        team: Team | None = None,
    ) -> None:
        self._registry = registry
        self._folders = tuple(folders)
        self._device = pick_device(device)
        check_plan(memory, self._device)
        check_weights(weights, memory, 1 if team is None else team.size)
        prompts = PromptCache(None if cache is None else cache / "prompts")
        options = LoadOptions(debug, prompts, attention, compile_blocks, team or Alone())
        if cache is not None:
            keep_compiled(cache / "compiled")
        self._compile = compile_blocks
        taking = allocator or DeviceAllocator(self._device)
        self._ladder = Ladder(memory, self._device, taking, options, weights=weights)
        self._model: str | None = None
        self._switch: dict[str, Any] | None = None
        self._model_def: dict[str, Any] = {}

    @property
    def loaded_model(self) -> str | None:
        """Id of the model in memory."""
        return None if self._ladder.empty else self._model

    @property
    def model_def(self) -> dict[str, Any]:
        """The loaded model's own definition, taken at `load`; read at every `generate`."""
        return {} if self._ladder.empty else self._model_def

    def versions(self) -> dict[str, str]:
        """What decides the result, besides the request: packages and device, and of a loaded model the
        attention kernel, the precisions and whether blocks are compiled."""
        names = ("torch", "diffusers", "transformers")
        told = {"engine": "wan", **{name: version(name) for name in names}, "device": self._device_name()}
        if self._ladder.empty:
            return told
        loaded = self._ladder.loaded
        return told | {
            "attention": loaded.attention,
            "dtype": str(loaded.recipe.dtype).removeprefix("torch."),
            "vae_dtype": str(loaded.recipe.vae_dtype).removeprefix("torch."),
            "compiled": str(self._compile).lower(),
        }

    def memory_told(self, model: str) -> dict[str, Any]:
        """The plan under which `model` is in memory, and how it came to it since the last `load`.

        Without `memory` where it is not there. Names as in `Generation.details`.
        """
        told = self._ladder.described()
        if self.loaded_model != model:
            told = {key: value for key, value in told.items() if key not in (PLAN, HELD)}
        return told

    def load(self, model: str, listener: EngineListener) -> None:
        """Bring a model into memory. Raises `ModelMissing`, `OutOfMemory`."""
        self._ladder.steps_down.clear()
        definition = self._registry.definition(model).model_def
        recipe = make_recipe(model, definition, self._folders, self._device)
        self._switch = None
        if not self._ladder.holds(recipe):
            listener.on_phase(Phase.LOADING)
            before, self._model, self._model_def = self.loaded_model, None, {}
            began = time.perf_counter()
            self._ladder.load(recipe)
            if self._compile:
                self._warm_up(definition.get("settings", {}))
            self._switch = {"from": before, "to": model, "seconds": round(time.perf_counter() - began, 4)}
            log.info(
                "model loaded",
                model=model,
                instead_of=before,
                seconds=self._switch["seconds"],
                memory=self._in_memory().plan.value,
                device=str(self._device),
            )
        self._model, self._model_def = model, copy.deepcopy(dict(definition))

    def generate(self, request: SegmentRequest, listener: EngineListener) -> Generation:
        """Encode, condition and sample; frames are decoded while they are read.

        Where memory runs out, the model is loaded under the next plan below and the work done again; the
        result says so. Raises `BadParams` and `BadInput` for what the request holds, `OutOfMemory` when no
        plan is left, and whatever `listener` raises to stop the run.
        """
        if request.model != self.loaded_model:
            self.load(request.model, listener)
        while True:
            details = {"model_switch": self._switch} if self._switch else {}
            run = SegmentRun(self._ladder, self._model_def, request, listener, self._device, details)
            try:
                return run.generate()
            except RanOut as failure:
                doing = failure.doing
            # Outside the clause: the error's traceback would keep the run's tensors alive.
            del run
            listener.on_phase(Phase.LOADING)
            self._ladder.step_down(doing)

    @torch.inference_mode()
    def _warm_up(self, settings: Mapping[str, Any]) -> None:
        # In inference mode from the first, as in a run: the compiler tells weights apart by where they came.
        size = {name: int(settings.get(name, usual)) // 8 for name, usual in USUAL_SIZE.items()}
        frames = latent_count(int(settings.get("num_frames", USUAL_FRAMES)))
        while True:
            loaded = self._ladder.loaded
            try:
                with memory_reported(lambda: "warming up", loaded.plan):
                    self._ladder.allocator.begin("warming up")
                    for expert in loaded.experts:
                        warm_up(loaded.memory.use(expert.value), frames=frames, **size)
                return
            except RanOut as failure:
                doing = failure.doing
            del loaded
            self._ladder.step_down(doing)

    def _in_memory(self) -> LoadedModel:
        return self._ladder.loaded

    def _device_name(self) -> str:
        if self._device.type == "cuda":
            return torch.cuda.get_device_name(self._device)
        return f"cpu ({platform.machine()})"


def pick_device(asked: str) -> torch.device:
    """The device of that name; `auto` takes a GPU where there is one. Raises `UsageError`."""
    if asked == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    kind, _, index = asked.partition(":")
    if kind not in ("cpu", "cuda") or (index and not (kind == "cuda" and index.isdigit())):
        raise UsageError(f"--device is {asked!r}; legal values are auto, cpu, cuda and cuda:N.")
    if kind == "cuda" and not (torch.cuda.is_available() and int(index or 0) < torch.cuda.device_count()):
        raise UsageError(
            f"--device is {asked!r}, but torch {torch.__version__} sees {torch.cuda.device_count()} of them. "
            "Use auto or cpu, or install a CUDA build of torch and the driver."
        )
    return torch.device(asked)
