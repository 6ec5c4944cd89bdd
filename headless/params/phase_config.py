"""`phase_config`: how existing frontends split the steps of a task over phases."""

from __future__ import annotations

from typing import Annotated, Final, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator
from pydantic_core import PydanticCustomError

from headless.params.loras import MAX_LORAS
from headless.params.references import PREDICATE
from headless.params.tuples import tuple_of_at_most
from headless.task import Json
from models.lora_strengths import LEGAL, MAX_PHASES, parse_strengths

_CONFIG: Final = ConfigDict(strict=True, frozen=True, extra="forbid", allow_inf_nan=False)
Guidance = Annotated[float, Field(ge=0, le=30)]
Solver = Literal["unipc", "dpm++", "euler", "euler_wan2gp"]


class PhaseLora(BaseModel):
    """A LoRA and its strength in one phase."""

    model_config = _CONFIG

    url: Annotated[str, Field(min_length=1, max_length=2048)]
    multiplier: float | Annotated[str, Field(max_length=700)] = 1.0

    @model_validator(mode="after")
    def _one_phase(self) -> PhaseLora:
        try:
            phases = len(parse_strengths(self.multiplier))
        except ValueError:
            phases = 0
        if phases != 1:
            raise PydanticCustomError(
                PREDICATE, "is for one phase: give {legal}, without a semicolon.", {"legal": LEGAL}
            )
        return self


class PhaseStep(BaseModel):
    """One phase: its guidance and its LoRAs."""

    model_config = _CONFIG

    phase: Annotated[int, Field(ge=1, le=MAX_PHASES)]
    guidance_scale: Guidance
    loras: Annotated[tuple[PhaseLora, ...], Field(max_length=MAX_LORAS), tuple_of_at_most(MAX_LORAS)] = ()


class PhaseConfig(BaseModel):
    """Steps, guidance and LoRAs per phase. Phases up to `model_switch_phase` run on the high-noise expert."""

    model_config = _CONFIG

    num_phases: Annotated[int, Field(ge=1, le=MAX_PHASES)]
    steps_per_phase: Annotated[
        tuple[Annotated[int, Field(ge=1, le=100)], ...],
        Field(max_length=MAX_PHASES),
        tuple_of_at_most(MAX_PHASES),
    ]
    flow_shift: Annotated[float, Field(ge=0.01, le=100)] | None = None
    sample_solver: Solver | None = None
    model_switch_phase: Annotated[int, Field(ge=1, le=MAX_PHASES)] | None = None
    phases: Annotated[tuple[PhaseStep, ...], Field(max_length=MAX_PHASES), tuple_of_at_most(MAX_PHASES)]

    @model_validator(mode="after")
    def _consistent(self) -> PhaseConfig:
        count = self.num_phases
        numbers = [phase.phase for phase in self.phases]
        if len(self.steps_per_phase) != count:
            why = f"steps_per_phase has {len(self.steps_per_phase)} entries; num_phases is {count}"
        elif numbers != list(range(1, count + 1)):
            why = f"phases are numbered {numbers}; num_phases {count} needs {list(range(1, count + 1))}"
        elif sum(self.steps_per_phase) > 100:
            why = f"steps_per_phase adds up to {sum(self.steps_per_phase)}; at most 100 steps are legal"
        elif self.model_switch_phase is not None and self.model_switch_phase > count:
            why = f"model_switch_phase is {self.model_switch_phase}; legal values are 1 to {count}"
        elif any(len({lora.url for lora in p.loras}) < len(p.loras) for p in self.phases):
            why = "a phase names one LoRA twice"
        else:
            return self
        raise PydanticCustomError(PREDICATE, "is inconsistent: {why}.", {"why": why})


def expand(value: Json) -> dict[str, Json]:
    """What `phase_config` says under canonical names; only itself if malformed, for the error later."""
    try:
        config = PhaseConfig.model_validate(value)
    except ValidationError:
        return {"phase_config": value}
    found: dict[str, Json] = {
        "phase_config": value,
        "steps": sum(config.steps_per_phase),
        "guidance_scale": config.phases[0].guidance_scale,
    }
    if config.num_phases > 1:
        found["guidance_scale_2"] = config.phases[1].guidance_scale
    if config.flow_shift is not None:
        found["flow_shift"] = config.flow_shift
    if any(phase.loras for phase in config.phases):
        found["loras"] = _loras(config)
    return found


def _loras(config: PhaseConfig) -> Json:
    """Every LoRA once, with one strength per phase: 0 in a phase that does not name it."""
    urls = list(dict.fromkeys(lora.url for phase in config.phases for lora in phase.loras))
    return [
        {"name": url, "strength": ";".join(_strength(phase, url) for phase in config.phases)} for url in urls
    ]


def _strength(phase: PhaseStep, url: str) -> str:
    (values,) = next((parse_strengths(lora.multiplier) for lora in phase.loras if lora.url == url), ((0.0,),))
    return ",".join(repr(value) for value in values)
