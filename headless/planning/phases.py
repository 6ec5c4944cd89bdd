"""Steps, guidance and experts: how the denoising is split over phases."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final, get_args

from headless.errors import BadParams
from headless.params.generate import GenerateParams
from headless.params.phase_config import Solver
from headless.params.show import show
from headless.ports import ModelDefinition

DEFAULT_STEPS: Final = 30
DEFAULT_GUIDANCE: Final = 5.0
DEFAULT_FLOW_SHIFT: Final = 5.0
DEFAULT_SOLVER: Final = "unipc"


@dataclass(frozen=True)
class Phases:
    """`guidance` has one value per phase; the first `high_noise` phases run on the high-noise expert.

    `split` has the steps of each phase where they are fixed; elsewhere the model's boundary decides.
    """

    steps: int
    guidance: tuple[float, ...]
    high_noise: int
    split: tuple[int, ...] | None
    flow_shift: float
    solver: str


def resolve_phases(params: GenerateParams, definition: ModelDefinition) -> Phases:
    """Request, then the model's settings, then the product's defaults. Raises `BadParams`."""
    settings, config = definition.settings, params.phase_config
    steps = _first(params.steps, settings.get("steps"), DEFAULT_STEPS)
    experts = expert_count(definition)
    asked = config.num_phases if config else int(settings.get("guidance_phases") or experts)
    count = max(asked, experts)
    split = config.steps_per_phase if config else _split(settings, steps)
    return Phases(
        steps=steps,
        guidance=_guidance(params, settings, count),
        high_noise=_high_noise(params, settings, count, experts),
        # One phase over two experts: their boundary splits it.
        split=split if split and len(split) == count else None,
        flow_shift=float(_first(params.flow_shift, settings.get("flow_shift"), DEFAULT_FLOW_SHIFT)),
        solver=_solver(params, definition),
    )


def expert_count(definition: ModelDefinition) -> int:
    """Two where the definition has a second transformer, else one."""
    model = definition.model_def
    return 2 if model.get("URLs2") or "transformer_2" in model.get("files", {}) else 1


def _split(settings: Mapping[str, Any], steps: int) -> tuple[int, ...] | None:
    """The model's own split, as long as nobody asks for another number of steps."""
    own = settings.get("steps_per_phase")
    return tuple(own) if own and sum(own) == steps else None


def _guidance(params: GenerateParams, settings: Mapping[str, Any], count: int) -> tuple[float, ...]:
    config = params.phase_config
    if config is not None:
        given = [float(phase.guidance_scale) for phase in config.phases]
        return tuple(given + given[-1:] * (count - len(given)))
    first = _first(params.guidance_scale, settings.get("guidance_scale"), DEFAULT_GUIDANCE)
    second = _first(params.guidance_scale_2, settings.get("guidance_scale_2"), first)
    third = _first(settings.get("guidance_scale_3"), second)
    return tuple(float(value) for value in (first, second, third)[:count])


def _high_noise(params: GenerateParams, settings: Mapping[str, Any], count: int, experts: int) -> int:
    if experts == 1:
        return count
    config = params.phase_config
    asked = config.model_switch_phase if config else settings.get("model_switch_phase")
    return min(int(asked), count) if asked else max(count - 1, 1)


def _solver(params: GenerateParams, definition: ModelDefinition) -> str:
    if params.phase_config is not None and params.phase_config.sample_solver is not None:
        return params.phase_config.sample_solver
    named = str(definition.settings.get("solver") or DEFAULT_SOLVER)
    if named not in get_args(Solver):
        legal = ", ".join(get_args(Solver))
        raise BadParams(
            f"model {definition.id} is set to the solver {show(named)}, which is none of: {legal}."
        )
    return named


def _first(*values: Any) -> Any:
    return next((value for value in values if value is not None), values[-1])
