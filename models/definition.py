"""What a model definition may say: the schema of `configs/*.json`.

    {"model": {"name": ..., "architecture": ..., "URLs": [...], ...}, "steps": 4, "flow_shift": 5.0, ...}

The file's stem is the model's id. The `model` section says what the model is; the settings beside it are the
defaults of its tasks. Keys that are not known here are kept and listed, never dropped.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import pairwise
from typing import Annotated, Any, Final, Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

from models.lora_strengths import parse_strengths

ID_PATTERN: Final = r"^[A-Za-z0-9][A-Za-z0-9._-]{0,127}$"
REFERABLE_KEYS: Final = ("URLs", "URLs2", "loras", "loras_multipliers", "files")
ROLES: Final = (
    "transformer",
    "transformer_2",
    "vae",
    "text_encoder",
    "tokenizer",
    "image_encoder",
    "image_processor",
)
SETTING_NAMES: Final[Mapping[str, str]] = {
    "num_inference_steps": "steps",
    "guidance2_scale": "guidance_scale_2",
    "guidance3_scale": "guidance_scale_3",
    "video_length": "num_frames",
    "sample_solver": "solver",
}
"""Setting names of Wan2GP files, and ours."""

EndFrameModeName = Literal["in_chunk", "extra_latent", "slot", "repeat_4"]
Text = Annotated[str, Field(max_length=10_000)]
Place = Annotated[str, Field(min_length=1, max_length=2048)]
Number = Annotated[float, Field(allow_inf_nan=False)]
Guidance = Annotated[float, Field(ge=0, le=30, allow_inf_nan=False)]
Time = Annotated[float, Field(ge=0, le=1000, allow_inf_nan=False)]
Side = Annotated[int, Field(ge=64, le=2048, multiple_of=16)]


class UnknownModel(LookupError):
    """No definition has this id. The message names the nearest ones."""


class BadDefinition(ValueError):
    """A definition file is malformed. The message names the file, the key and what is legal."""


@dataclass(frozen=True)
class Definition:
    """One model. `model_def` is its `model` section after inheritance, `settings` what stands beside it.

    Both are read-only views of what the registry holds, so a patch shows through.
    """

    id: str
    name: str
    architecture: str
    model_def: Mapping[str, Any]
    settings: Mapping[str, Any]


class ModelSection(BaseModel):
    """The `model` section, references resolved."""

    model_config = ConfigDict(strict=True, frozen=True, extra="allow", protected_namespaces=())

    name: Annotated[str, Field(min_length=1, max_length=200)]
    architecture: Annotated[str, Field(pattern=ID_PATTERN)]
    description: Text = ""
    URLs: list[Place] = []
    URLs2: list[Place] = []
    repository: Place | None = None
    revision: Place | None = None
    files: dict[str, Place] = {}
    loras: list[Place] = []
    loras_multipliers: list[float | str] = []
    svi2pro: bool = False
    svi_pad_empty_frames_with_anchor: bool = False
    end_frame_mode: EndFrameModeName | None = None
    output_checks: bool = True

    @model_validator(mode="after")
    def _consistent(self) -> ModelSection:
        if unknown := sorted(set(self.files) - set(ROLES)):
            raise ValueError(f"files has the unknown parts {unknown}; known are {list(ROLES)}")
        if len(self.loras_multipliers) > len(self.loras):
            raise ValueError(f"{len(self.loras_multipliers)} loras_multipliers for {len(self.loras)} loras")
        for multiplier in self.loras_multipliers:
            parse_strengths(multiplier)
        return self


class Settings(BaseModel):
    """What stands beside the `model` section, under our names."""

    model_config = ConfigDict(strict=True, frozen=True, extra="allow", protected_namespaces=())

    negative_prompt: Text | None = None
    width: Side | None = None
    height: Side | None = None
    num_frames: Annotated[int, Field(ge=1, le=1025)] | None = None
    max_frames: Annotated[int, Field(ge=1, le=1025)] | None = None
    fps: Annotated[int, Field(ge=1, le=60)] | None = None
    steps: Annotated[int, Field(ge=1, le=100)] | None = None
    steps_per_phase: (
        Annotated[list[Annotated[int, Field(ge=1, le=100)]], Field(min_length=1, max_length=3)] | None
    ) = None
    guidance_phases: Annotated[int, Field(ge=0, le=3)] | None = None
    model_switch_phase: Annotated[int, Field(ge=0, le=3)] | None = None
    guidance_scale: Guidance | None = None
    guidance_scale_2: Guidance | None = None
    guidance_scale_3: Guidance | None = None
    flow_shift: Annotated[float, Field(gt=0, le=100, allow_inf_nan=False)] | None = None
    boundary: Time | None = None
    switch_threshold: Time | None = None
    switch_threshold2: Time | None = None
    solver: Annotated[str, Field(pattern=r"^([a-z0-9][a-z0-9_+.-]{0,39})?$")] | None = None
    overlap: Annotated[int, Field(ge=0, le=128, multiple_of=4)] | None = None
    motion_latent_count: Annotated[int, Field(ge=0, le=32)] | None = None
    vae_precision: Literal["bf16", "fp32"] | None = None
    sigmas: (
        Annotated[
            list[Annotated[float, Field(gt=0, le=1, allow_inf_nan=False)]],
            Field(min_length=1, max_length=100),
        ]
        | None
    ) = None
    clamp_known_latents: bool | None = None

    @model_validator(mode="after")
    def _consistent(self) -> Settings:
        split, phases = self.steps_per_phase, self.guidance_phases
        if split is not None and (phases or len(split)) != len(split):
            raise ValueError(f"steps_per_phase has {len(split)} entries for guidance_phases {phases}")
        if split is not None and self.steps not in (None, sum(split)):
            raise ValueError(f"steps_per_phase adds up to {sum(split)}, and steps is {self.steps}")
        if self.sigmas is not None and any(a <= b for a, b in pairwise(self.sigmas)):
            raise ValueError(f"sigmas are {self.sigmas}; they must fall, from at most 1 to above 0")
        if self.sigmas is not None and self.steps not in (None, len(self.sigmas)):
            raise ValueError(f"there are {len(self.sigmas)} sigmas, and steps is {self.steps}")
        if self.num_frames is not None and self.max_frames is not None and self.num_frames > self.max_frames:
            raise ValueError(f"num_frames {self.num_frames} is more than max_frames {self.max_frames}")
        return self
