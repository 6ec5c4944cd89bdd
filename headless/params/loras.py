"""LoRAs of a request: a name or URL, and a strength that may differ by phase and by step."""

from __future__ import annotations

from typing import Annotated, Final

from pydantic import AfterValidator, BaseModel, ConfigDict, Field
from pydantic_core import PydanticCustomError

from headless.params.references import PREDICATE, UNSAFE
from headless.params.show import show
from headless.task import Json
from models.lora_files import BadLora, UnsafeLora, lora_file_name
from models.lora_strengths import LEGAL, MAX_STRENGTH, Strengths, parse_strengths

MAX_LORAS: Final = 16
NAME_FORMS: Final = "the name of a .safetensors file in a LoRA folder, or its http(s) URL"


def _check_name(name: str) -> str:
    try:
        lora_file_name(name)
    except UnsafeLora as error:
        raise PydanticCustomError(UNSAFE, "{why}", {"why": f"is {show(name)}: {error}"}) from error
    except BadLora as error:
        raise PydanticCustomError(PREDICATE, "{why}", {"why": f"is {show(name)}: {error}"}) from error
    return name


def _check_strength(strength: float | str) -> float | str:
    try:
        parse_strengths(strength)
    except ValueError as error:
        raise PydanticCustomError(PREDICATE, "{why}", {"why": f"is {show(strength)}: {error}."}) from error
    return strength


class Lora(BaseModel):
    """One LoRA file and how strongly it acts."""

    model_config = ConfigDict(strict=True, frozen=True, extra="forbid", allow_inf_nan=False)

    name: Annotated[
        str,
        Field(
            min_length=1, max_length=2048, description=NAME_FORMS, json_schema_extra={"x-legal": NAME_FORMS}
        ),
        AfterValidator(_check_name),
    ]
    strength: Annotated[
        float | Annotated[str, Field(max_length=2000)],
        Field(
            description='one number for all phases, or one entry per phase: "1;0" acts on the high-noise '
            'expert only; "1;0.5,0.2" goes from 0.5 to 0.2 over the steps of the second phase',
            json_schema_extra={"x-legal": LEGAL},
        ),
        AfterValidator(_check_strength),
    ] = 1.0

    @property
    def strengths(self) -> Strengths:
        """Per phase, per step; see `models.lora_strengths`."""
        return parse_strengths(self.strength)


def as_list(value: Json) -> Json:
    """`{name: strength, ...}` as a list of `{name, strength}`; a list stays as it is."""
    if isinstance(value, dict):
        return [{"name": name, "strength": strength} for name, strength in value.items()]
    return value


LEGAL_LORAS: Final = (
    f'up to {MAX_LORAS} of {{"name": ..., "strength": ...}}, or {{name: strength, ...}}; '
    f"a strength is between -{MAX_STRENGTH:g} and {MAX_STRENGTH:g}"
)
