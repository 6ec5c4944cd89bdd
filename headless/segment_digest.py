"""The hash of everything that decides a segment's latents: equal hashes, equal latents on equal devices."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from headless.fingerprint import sha256_of
from headless.segment import LoraUse, SegmentRequest

REVISION: Final = 1
"""Raised whenever conditioning or sampling gives other numbers than before: latents that were kept under
another revision are not found any more."""

_NO_PART: Final = frozenset({"sampled_latents", "strict"})


@dataclass(frozen=True)
class MadeWith:
    """What decides a clip beside its request.

    `definition`: of the loaded model, as it is while the clip is made; `versions`: of worker and engine;
    `weights` and `loras`: fingerprints of files, by role and by path; `pictures`: hashes that are known
    already, by the `id` of arrays that live as long as this.
    """

    definition: Mapping[str, Any]
    versions: Mapping[str, str]
    weights: Mapping[str, str]
    loras: Mapping[Path, str]
    pictures: Mapping[int, str]


def segment_digest(request: SegmentRequest, made_with: MadeWith) -> str:
    """SHA-256 in hex over every value of the request, over pictures and files by their content.

    Neither the task nor the segment's place in it has a part in it, nor the names and addresses of files: the
    same clip of another task has the same hash.
    """
    told = {
        "revision": REVISION,
        "request": {
            field.name: _told(getattr(request, field.name), made_with)
            for field in fields(request)
            if field.name not in _NO_PART
        },
        "definition": made_with.definition,
        "weights": made_with.weights,
        "versions": made_with.versions,
    }
    return hashlib.sha256(json.dumps(told, sort_keys=True, default=str).encode()).hexdigest()


def picture_hashes(pictures: Iterable[npt.NDArray[Any] | None]) -> dict[int, str]:
    """The hashes of arrays, by `id`. Keep the arrays."""
    return {id(one): _of_array(one) for one in pictures if one is not None}


def _told(value: object, made_with: MadeWith) -> object:
    if isinstance(value, np.ndarray):
        return made_with.pictures.get(id(value)) or _of_array(value)
    if isinstance(value, Path):
        return sha256_of(value)
    if isinstance(value, LoraUse):
        return [made_with.loras[value.path], value.strengths]
    if isinstance(value, tuple):
        return [_told(entry, made_with) for entry in value]
    return value


def _of_array(array: npt.NDArray[Any]) -> str:
    digest = hashlib.sha256(f"{array.dtype} {array.shape}".encode())
    digest.update(np.ascontiguousarray(array).data)
    return digest.hexdigest()
