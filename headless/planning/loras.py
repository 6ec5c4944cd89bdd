"""Which LoRAs act, the model's own first, and how strongly in each phase."""

from __future__ import annotations

from dataclasses import dataclass

from headless.errors import BadParams
from headless.params.generate import GenerateParams
from headless.planning.phases import Phases
from headless.ports import ModelDefinition
from models.lora_files import BadLora, UnsafeLora, lora_file_name
from models.lora_strengths import Strengths, parse_strengths


@dataclass(frozen=True)
class PlannedLora:
    """A LoRA by name or URL. `strengths`: one entry per phase, or one for all; lists spread over steps."""

    name: str
    strengths: Strengths
    of_model: bool
    """Whether the model definition brings it; else the request does."""


def resolve_loras(
    params: GenerateParams, definition: ModelDefinition, phases: Phases
) -> tuple[PlannedLora, ...]:
    """The model's LoRAs, then the request's. A request that names a LoRA of the model sets its strength.

    Raises:
        BadParams: a strength has more phases than the run, or more values than a phase has steps; or the
            definition names a LoRA that can be no file.
    """
    planned: dict[str, PlannedLora] = {}
    for name, strengths in _of_model(definition):
        planned[_file(name, definition)] = PlannedLora(name, strengths, of_model=True)
    for lora in params.loras:
        file = lora_file_name(lora.name)
        of_model = file in planned
        planned[file] = PlannedLora(lora.name, lora.strengths, of_model)
    return tuple(_fitted(lora, phases) for lora in planned.values())


def _of_model(definition: ModelDefinition) -> list[tuple[str, Strengths]]:
    names = definition.model_def.get("loras", [])
    multipliers = definition.model_def.get("loras_multipliers", [])
    padded = [*multipliers, *(1.0 for _ in names[len(multipliers) :])]
    return [(str(name), parse_strengths(given)) for name, given in zip(names, padded, strict=True)]


def _file(name: str, definition: ModelDefinition) -> str:
    try:
        return lora_file_name(name)
    except (BadLora, UnsafeLora) as error:
        raise BadParams(f"model {definition.id}: {error}") from error


def _fitted(lora: PlannedLora, phases: Phases) -> PlannedLora:
    """The LoRA with strengths for this run's phases: two of them mean the two experts."""
    given, count = lora.strengths, len(phases.guidance)
    if len(given) not in (1, count) and not (len(given) == 2 and count == 3):
        legal = "1 entry" if count == 1 else f"1 or {count} entries"
        raise BadParams(
            f"loras: the strength of {lora.name} has {len(given)} entries, one per phase; this run has "
            f"{count} {'phase' if count == 1 else 'phases'}: give {legal}."
        )
    if len(given) == 2 and count == 3:
        given = tuple(given[0 if phase < phases.high_noise else 1] for phase in range(count))
    _check_lists(lora.name, given, phases)
    return PlannedLora(lora.name, given, lora.of_model)


def _check_lists(name: str, strengths: Strengths, phases: Phases) -> None:
    """A list longer than its phase would lose values without a word."""
    limits = phases.split if phases.split and len(strengths) > 1 else (phases.steps,) * len(strengths)
    for values, steps in zip(strengths, limits, strict=True):
        if len(values) > steps:
            raise BadParams(
                f"loras: the strength of {name} lists {len(values)} values for {steps} steps: "
                f"give at most {steps}."
            )
