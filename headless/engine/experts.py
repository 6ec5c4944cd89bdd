"""The transformer of each step, with the LoRAs of that step in its weights."""

from __future__ import annotations

from collections.abc import Sequence

from diffusers import WanTransformer3DModel

from headless.engine.loading import LoadedModel
from headless.engine.phases import Step
from headless.errors import BadParams
from headless.segment import LoraUse


class Experts:
    """Gives the transformers of one run."""

    def __init__(self, loaded: LoadedModel, loras: Sequence[LoraUse], steps: Sequence[Step]) -> None:
        if loras:
            raise BadParams(f"loras: {loras[0].name} cannot be loaded; LoRAs are not available yet")
        self._loaded = loaded
        self._steps = steps

    def for_step(self, step: Step) -> WanTransformer3DModel:
        """The transformer, on the device."""
        return self._loaded.memory.use(step.expert.value)
