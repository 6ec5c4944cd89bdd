"""Types and ranges of a definition whose references are resolved."""

from __future__ import annotations

from typing import Any

from pydantic import BaseModel, ValidationError

from models.definition import BadDefinition, ModelSection, Settings
from models.definition_file import DefinitionText


def checked(text: DefinitionText) -> tuple[dict[str, Any], list[str]]:
    """The section as it goes into `models_def`, and the keys that nothing here reads.

    Raises:
        BadDefinition: naming the file, the first wrong key, its value and what is legal.
    """
    model = _validate(ModelSection, text, text.model)
    settings = _validate(Settings, text, text.settings)
    unread = [f"model.{key}" for key in model.model_extra or {}] + list(settings.model_extra or {})
    return {**text.model, "settings": text.settings}, sorted(unread)


def _validate(schema: type[BaseModel], text: DefinitionText, values: dict[str, Any]) -> BaseModel:
    try:
        return schema.model_validate(values)
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        where = ".".join(str(part) for part in first["loc"]) or schema.__name__.lower()
        given = "" if first["type"] in ("missing", "value_error") else f" is {str(first['input'])[:80]!r}"
        raise BadDefinition(f"{text.path}: {where}{given}: {first['msg']}.") from error
