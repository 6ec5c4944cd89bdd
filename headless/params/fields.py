"""Types of fields that a task and its segments have in common."""

from __future__ import annotations

import unicodedata
from typing import Annotated, Final, Literal

from pydantic import AfterValidator, ConfigDict, Field
from pydantic_core import PydanticCustomError

from headless.params.loras import LEGAL_LORAS, MAX_LORAS, Lora
from headless.params.references import FORMS, PREDICATE, TASK_FORMS, MediaOrTask, MediaReference
from headless.params.tuples import tuple_of_at_most
from models.lora_files import lora_file_name

MAX_PROMPT: Final = 10_000
MAX_FRAMES: Final = 1025
MAX_SEED: Final = 2**32 - 1
PROMPT_FORMS: Final = f"text of at most {MAX_PROMPT} characters, at least one of them visible"
STRICT: Final = ConfigDict(
    strict=True, frozen=True, extra="forbid", allow_inf_nan=False, use_attribute_docstrings=True
)


def _visible(prompt: str) -> str:
    """An empty text steers nothing, and most often means that the prompt was lost on its way here."""
    if all(unicodedata.category(letter)[0] in "CZ" for letter in prompt):
        raise PydanticCustomError("blank_prompt", "give {legal}", {"legal": PROMPT_FORMS})
    return prompt


def _distinct(loras: tuple[Lora, ...]) -> tuple[Lora, ...]:
    names = [lora_file_name(lora.name) for lora in loras]
    if twice := next((name for name in names if names.count(name) > 1), None):
        raise PydanticCustomError(PREDICATE, "name {name} twice: name it once.", {"name": twice})
    return loras


Prompt = Annotated[
    str, Field(max_length=MAX_PROMPT, json_schema_extra={"x-legal": PROMPT_FORMS}), AfterValidator(_visible)
]
NegativePrompt = Annotated[str, Field(max_length=MAX_PROMPT)]
Media = Annotated[MediaReference, Field(json_schema_extra={"x-legal": FORMS})]
Video = Annotated[MediaOrTask, Field(json_schema_extra={"x-legal": TASK_FORMS})]
NumFrames = Annotated[int, Field(ge=1, le=MAX_FRAMES)]
Seed = Annotated[int, Field(ge=0, le=MAX_SEED)]
Mode = Literal["in_chunk", "extra_latent", "slot", "repeat_4"]
Loras = Annotated[
    tuple[Lora, ...],
    Field(max_length=MAX_LORAS, json_schema_extra={"x-legal": LEGAL_LORAS}),
    AfterValidator(_distinct),
    tuple_of_at_most(MAX_LORAS),
]
