"""A model under the highest memory plan that holds it, and under the next one below when memory runs out."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any, Final

import structlog
import torch

from headless.engine.allocator import Allocator
from headless.engine.failures import RanOut, memory_reported
from headless.engine.loading import LoadedModel, LoadOptions, Recipe, load_model, part_sizes
from headless.engine.plans import MemoryPlan, choose_plan, rungs_below, stays_packed
from headless.engine.team import RELEASE, load_command
from headless.errors import OutOfMemory, UsageError

PLAN: Final = "memory"
"""Key of the plan in what `Ladder.described` tells."""
HELD: Final = "weights"
"""Key that is there where weights are packed in memory."""

log = structlog.get_logger(__name__)


@dataclass(frozen=True)
class StepDown:
    """Memory ran out under one plan, and the work was done again under the other."""

    above: MemoryPlan
    below: MemoryPlan
    doing: str

    def described(self) -> dict[str, str]:
        """For the result."""
        return {"from": self.above.value, "to": self.below.value, "while": self.doing}


class Ladder:
    """Holds the loaded model. `asked` is `auto` or the plan to begin on.

    A lower plan stays until the model is loaded anew. Whoever works with the model asks for `loaded` every
    time: after `step_down` it is another one.
    """

    def __init__(
        self,
        asked: str,
        device: torch.device,
        allocator: Allocator,
        options: LoadOptions | None = None,
        *,
        weights: str = "auto",
    ) -> None:
        """`weights` is one of `plans.WEIGHTS`."""
        self._asked, self._device, self._options = asked, device, options or LoadOptions()
        self.allocator = allocator
        self._weights = weights
        self.steps_down: list[StepDown] = []
        self._loaded: LoadedModel | None = None

    @property
    def loaded(self) -> LoadedModel:
        """The model, as it is placed now. Raises `UsageError` where none is loaded."""
        if self._loaded is None:
            raise UsageError("no model is loaded; call load first")
        return self._loaded

    @property
    def ranks(self) -> int:
        """How many processes compute an expert together."""
        return self._options.team.size

    @property
    def empty(self) -> bool:
        """Whether no model is loaded."""
        return self._loaded is None

    def described(self) -> dict[str, Any]:
        """The plan, if a model is loaded, and the steps down, if there were any. For results and reports."""
        told: dict[str, Any] = {} if self._loaded is None else {PLAN: self._loaded.plan.value}
        if self._loaded is not None and self._loaded.packed:
            told[HELD] = "packed"
        if self.steps_down:
            told["memory_steps_down"] = [step.described() for step in self.steps_down]
        return told

    def holds(self, recipe: Recipe) -> bool:
        """Whether the networks of this recipe are in memory."""
        return self._loaded is not None and self._loaded.recipe == recipe

    def load(self, recipe: Recipe) -> None:
        """Load under the plan asked for, or lower ones. Raises `ModelMissing`, `OutOfMemory`."""
        self.release()
        free, sizes, smaller = self.allocator.free(), part_sizes(recipe), part_sizes(recipe, packed=True)
        packed = self.ranks == 1 and stays_packed(self._weights, self._asked, sizes, smaller, free)
        self._options = replace(self._options, packed=packed)
        self._place(recipe, choose_plan(self._asked, smaller if packed else sizes, free))

    def hold(self, loaded: LoadedModel) -> None:
        """Take over a model that was loaded elsewhere."""
        self.release()
        self._loaded = loaded

    def step_down(self, doing: str) -> None:
        """Load the model under the next plan. Raises `OutOfMemory` when no plan is left.

        The caller must hold neither tensors of the run nor the error: they would keep the memory taken.
        """
        recipe, plan = self.loaded.recipe, self.loaded.plan
        self.release()
        self._place(recipe, self._below(plan, doing))

    def release(self) -> None:
        """Let the model go."""
        if self._loaded is not None:
            with self._options.team.together(RELEASE):
                self._loaded.memory.close()
                self._loaded = None
                self.allocator.reset()

    def _place(self, recipe: Recipe, plan: MemoryPlan) -> None:
        while not self._try(recipe, plan):
            plan = self._below(plan, "loading")

    def _try(self, recipe: Recipe, plan: MemoryPlan) -> bool:
        try:
            self._loaded = self._load(recipe, plan)
            return True
        except RanOut:
            pass
        # Outside the clause: the error's traceback holds what was loaded so far.
        self.allocator.reset()
        return False

    def _load(self, recipe: Recipe, plan: MemoryPlan) -> LoadedModel:
        command = load_command(recipe.files, recipe.dtype, plan)
        with memory_reported(lambda: "loading", plan), self._options.team.together(command):
            self.allocator.begin("loading")
            return load_model(recipe, plan, self._device, self._options)

    def _below(self, plan: MemoryPlan, doing: str) -> MemoryPlan:
        rungs = rungs_below(plan)
        if not rungs:
            tried = dict.fromkeys([*(step.above.value for step in self.steps_down), plan.value])
            raise OutOfMemory(
                f"The memory ran out while {doing}, under every memory plan ({', '.join(tried)}). "
                "Ask for a smaller or shorter clip, or use a machine with more memory."
            )
        self.steps_down.append(StepDown(plan, rungs[0], doing))
        log.warning(
            "memory ran out; trying again under another plan",
            plan=plan.value,
            next=rungs[0].value,
            doing=doing,
        )
        return rungs[0]
