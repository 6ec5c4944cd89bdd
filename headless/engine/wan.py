"""The engine: Wan's networks in this process, on a GPU or on the CPU."""

from __future__ import annotations

import copy
import platform
from collections.abc import Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any

import structlog
import torch

from headless.engine.failures import memory_reported
from headless.engine.loading import LoadedModel, load_model, make_recipe
from headless.engine.memory import check_plan
from headless.engine.segment_run import SegmentRun
from headless.errors import UsageError
from headless.ports import ModelRegistry
from headless.segment import EngineListener, Generation, SegmentRequest
from headless.task import Phase

log = structlog.get_logger(__name__)


class WanEngine:
    """Implements `Engine`. Keeps one model in memory between jobs; a model with the same files stays loaded.

    `folders` are searched in this order for the files that definitions name. `device` is `auto`, `cpu`,
    `cuda` or `cuda:N`; `memory` is `auto`, `resident` or `swap`. Raises `UsageError`.
    """

    def __init__(
        self,
        registry: ModelRegistry,
        folders: Sequence[Path],
        *,
        device: str = "auto",
        memory: str = "auto",
    ) -> None:
        check_plan(memory)
        self._registry = registry
        self._folders = tuple(folders)
        self._device = pick_device(device)
        self._memory = memory
        self._model: str | None = None
        self._model_def: dict[str, Any] = {}
        self._loaded: LoadedModel | None = None

    @property
    def loaded_model(self) -> str | None:
        """Id of the model in memory."""
        return self._model

    @property
    def model_def(self) -> dict[str, Any]:
        """The loaded model's own definition, taken at `load`; read at every `generate`."""
        return self._model_def

    def versions(self) -> dict[str, str]:
        """What decides the result, besides the request."""
        names = ("torch", "diffusers", "transformers")
        return {"engine": "wan", **{name: version(name) for name in names}, "device": self._device_name()}

    def load(self, model: str, listener: EngineListener) -> None:
        """Bring a model into memory. Raises `ModelMissing`, `OutOfMemory`."""
        definition = self._registry.definition(model).model_def
        recipe = make_recipe(model, definition, self._folders, self._device)
        if self._loaded is None or self._loaded.recipe != recipe:
            listener.on_phase(Phase.LOADING)
            self._release()
            with memory_reported("loading", self._memory):
                self._loaded = load_model(recipe, self._memory, self._device)
            log.info("model loaded", model=model, memory=self._loaded.plan.value, device=str(self._device))
        self._model, self._model_def = model, copy.deepcopy(dict(definition))

    def generate(self, request: SegmentRequest, listener: EngineListener) -> Generation:
        """Encode, condition and sample; frames are decoded while they are read.

        Raises `BadParams` and `BadInput` for what the request holds, `OutOfMemory`, and whatever `listener`
        raises to stop the run.
        """
        if request.model != self._model or self._loaded is None:
            self.load(request.model, listener)
        return SegmentRun(self._in_memory(), self._model_def, request, listener, self._device).generate()

    def _in_memory(self) -> LoadedModel:
        if self._loaded is None:
            raise UsageError("no model is loaded; call load first")
        return self._loaded

    def _release(self) -> None:
        self._loaded, self._model, self._model_def = None, None, {}
        if self._device.type == "cuda":
            torch.cuda.empty_cache()

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
