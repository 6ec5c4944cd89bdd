"""A task in its own words, as it is kept inside the video: what `replay` makes a job of again."""

from __future__ import annotations

from typing import Any

from headless.media.guard import redact_url
from headless.params.generate import GenerateParams
from headless.task import Json

CUT = "…"
"""At the end of an address of which not everything was kept."""


def told_task(params: GenerateParams) -> dict[str, Any]:
    """The parameters that were sent, under canonical names; what was left to defaults is left out.

    A video may go anywhere, so addresses are kept without user names, queries and fragments, in which secrets
    are sent, and at most 200 characters of them.
    """
    told: dict[str, Any] = params.model_dump(mode="json", exclude_unset=True, exclude_none=True)
    return {name: _without_secrets(name, value) for name, value in told.items()}


def _without_secrets(name: str, value: Json) -> Json:
    if isinstance(value, list):
        return [_without_secrets(name, item) for item in value]
    if isinstance(value, dict):
        return {key: _without_secrets(key, item) for key, item in value.items()}
    address = isinstance(value, str) and "://" in value and "prompt" not in name
    return redact_url(str(value)) if address else value
