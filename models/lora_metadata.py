"""What trainers write into the metadata of a LoRA file."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, Final

ADAPTER: Final = "lora_adapter_metadata"
"""Where diffusers keeps a LoRA's rank and alpha."""


def adapter_scale(metadata: Mapping[str, str]) -> float | None:
    """Alpha over rank of all layers, where the metadata says it.

    Raises `ValueError` with a sentence without the file's name, where it says what cannot be followed.
    """
    text = metadata.get(ADAPTER)
    if text is None:
        return None
    told = _told(text)
    if told.get("rank_pattern") or told.get("alpha_pattern"):
        raise ValueError("has ranks or alphas per layer in its metadata, which is not supported")
    if "r" not in told or "lora_alpha" not in told:
        return None
    rank, alpha = told["r"], told["lora_alpha"]
    if not isinstance(rank, int | float) or not isinstance(alpha, int | float) or rank <= 0:
        raise ValueError(f"has the rank {rank!r} and the alpha {alpha!r} in its metadata")
    return float(alpha) / float(rank)


def _told(text: str) -> dict[str, Any]:
    try:
        told = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise ValueError(f"has a {ADAPTER} in its metadata that is not JSON") from error
    if not isinstance(told, dict):
        raise ValueError(f"has a {ADAPTER} in its metadata that is no JSON object")
    return {str(key).removeprefix("transformer."): value for key, value in told.items()}
