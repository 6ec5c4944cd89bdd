"""The transformer of each step, with the LoRAs of that step in its weights."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeAlias, cast

from diffusers import WanTransformer3DModel

from headless.engine.memory import Memory
from headless.engine.phases import Expert, Step
from headless.engine.team import Alone, Team
from headless.errors import BadParams
from headless.segment import LoraUse
from models.errors import WeightsError
from models.lora import Lora, Shapes, read_lora, shapes_of
from models.lora_inspect import guess_expert
from models.lora_strengths import spread

Identity: TypeAlias = tuple[str, int, int, int]
"""Path, inode, size and time of change: enough to know a file again without reading it."""
Baked: TypeAlias = tuple[tuple[Identity, float], ...]
"""LoRAs in the order in which they are added, with their strengths."""


@dataclass
class BakedExpert:
    """What lies in the weights of one expert. `key` is None while that is uncertain."""

    key: Baked | None = ()
    touched: set[str] = field(default_factory=set)

    def forget(self) -> None:
        """The weights are pristine again."""
        self.key, self.touched = (), set()


class Bakery:
    """The experts of a loaded model and what is baked into them. Lives as long as the model."""

    def __init__(self, memory: Memory, experts: Sequence[Expert], team: Team | None = None) -> None:
        self._memory, self._team = memory, team or Alone()
        self._baked = {expert: BakedExpert() for expert in experts}
        for expert, baked in self._baked.items():
            memory.on_restored(expert.value, baked.forget)

    def shapes(self, expert: Expert) -> Shapes:
        """Shapes of an expert's parameters."""
        return shapes_of(self._memory.module(expert.value))

    def expert(
        self, expert: Expert, key: Baked, loras: Callable[[], Sequence[tuple[Lora, float]]]
    ) -> WanTransformer3DModel:
        """The expert on the device with exactly these LoRAs; `loras` is asked only if they are not there."""
        with self._team.together({"do": "prepare", "expert": expert.value, "key": key}):
            return self._prepared(expert, key, loras)

    def _prepared(
        self, expert: Expert, key: Baked, loras: Callable[[], Sequence[tuple[Lora, float]]]
    ) -> WanTransformer3DModel:
        state = self._baked[expert]
        if state.key != key:
            added = loras()
            before, touched = state.touched, {name for lora, _ in added for name in lora.deltas}
            state.key, state.touched = None, before | touched
            self._memory.bake(expert.value, added, also=before)
            state.key, state.touched = key, touched
        return cast(WanTransformer3DModel, self._memory.use(expert.value))

    def holds(self, expert: Expert, key: Baked) -> bool:
        """Whether exactly these LoRAs are in the expert's weights now."""
        return self._baked[expert].key == key


class Experts:
    """Gives the transformers of one run, and swaps LoRAs where their strengths change."""

    def __init__(self, bakery: Bakery, loras: Sequence[LoraUse], steps: Sequence[Step], phases: int) -> None:
        for use in loras:
            if len(use.strengths) not in (1, phases):
                raise BadParams(
                    f"loras: {use.name} has strengths for {len(use.strengths)} phases; this run has {phases}"
                )
        self._bakery = bakery
        self._loras = loras
        self._steps = tuple(steps)
        self._identities = [_identity(use.path) for use in loras]
        self._keys = {step: self._key(step) for step in steps}
        self._read: dict[tuple[Path, Expert], Lora] = {}

    def read(self) -> None:
        """Read and check every LoRA that is not in the weights already. Raises `BadParams`."""
        for step, key in self._keys.items():
            if not self._bakery.holds(step.expert, key):
                self._used(step)

    def for_step(self, step: Step) -> WanTransformer3DModel:
        """The transformer of the step, on the device, with its LoRAs."""
        return self._bakery.expert(step.expert, self._keys[step], lambda: self._used(step))

    def described(self) -> list[dict[str, object]]:
        """What was used, for the result."""
        return [
            {"name": use.name, "strengths": [list(phase) for phase in use.strengths]} for use in self._loras
        ]

    def suspicious(self) -> list[str]:
        """LoRAs whose name says one expert and whose strengths the other."""
        found = []
        for use, identity in zip(self._loras, self._identities, strict=True):
            experts = {
                step.expert for step, key in self._keys.items() if identity in (used for used, _ in key)
            }
            named = guess_expert(Path(use.name).name, {})
            if len(experts) == 1 and named not in ("both", _one(experts)):
                found.append(
                    f"the LoRA {use.name} is named for the {named}-noise expert and used on the "
                    f"{_one(experts)}-noise one only"
                )
        return found

    def _key(self, step: Step) -> Baked:
        strengths = [self._strength(use, step) for use in self._loras]
        return tuple(pair for pair in zip(self._identities, strengths, strict=True) if pair[1])

    def _used(self, step: Step) -> list[tuple[Lora, float]]:
        used = [(use, self._strength(use, step)) for use in self._loras]
        return [(self._lora(use, step.expert), strength) for use, strength in used if strength]

    def _strength(self, use: LoraUse, step: Step) -> float:
        """Of the step's phase; a list that stands for all phases runs over all steps."""
        if len(use.strengths) > 1:
            return spread(use.strengths[step.phase], step.of)[step.at]
        return spread(use.strengths[0], len(self._steps))[self._steps.index(step)]

    def _lora(self, use: LoraUse, expert: Expert) -> Lora:
        if (use.path, expert) not in self._read:
            try:
                self._read[use.path, expert] = read_lora(use.path, self._bakery.shapes(expert))
            except (WeightsError, OSError) as error:
                raise BadParams(f"loras: {error}") from error
        return self._read[use.path, expert]


def read_baked(key: Baked, shapes: Shapes) -> list[tuple[Lora, float]]:
    """The LoRAs of a key, for a rank that has nothing but the key. Raises `BadParams`."""
    read = []
    for identity, strength in key:
        path = Path(identity[0])
        if identity != _identity(path):
            raise BadParams(f"loras: {path.name} was changed while the task ran; start the task again")
        try:
            read.append((read_lora(path, shapes), strength))
        except (WeightsError, OSError) as error:
            raise BadParams(f"loras: {error}") from error
    return read


def _identity(path: Path) -> Identity:
    try:
        status = path.stat()
    except OSError as error:
        raise BadParams(f"loras: {path.name} cannot be read ({error.strerror})") from error
    return str(path), status.st_ino, status.st_size, status.st_mtime_ns


def _one(experts: set[Expert]) -> str:
    return next(iter(experts)).value
