"""What `plan` looks at of a job's inputs: their sizes, and pictures small enough to keep many of them."""

from __future__ import annotations

import tempfile
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image

from headless.inputs import VIDEO_FIELDS, is_picture_field
from headless.media.images import ImageLimits, load_image
from headless.media.video import probe
from headless.params.references import STORAGE
from headless.ports import Storage
from headless.segment import Picture

_LARGEST = 512_000_000
_SMALL = 256


@dataclass(frozen=True)
class Seen:
    """An input that was read: width and height, and of a picture a small one of its shape."""

    size: tuple[int, int]
    small: Picture | None = None


def seen_here(files: Mapping[str, Path]) -> dict[str, Seen]:
    """Inputs that are files here, by field. Raises `BadInput` that names the field."""
    return {field: _seen(field, path) for field, path in files.items() if _is_shown(field)}


def seen_in_storage(references: Mapping[str, str], storage: Storage) -> dict[str, Seen]:
    """Pictures that lie in storage, by field; each is fetched once."""
    seen: dict[str, Seen] = {}
    known: dict[str, Seen] = {}
    with tempfile.TemporaryDirectory(prefix="headless-plan-") as folder:
        for field, reference in _stored(references):
            if reference not in known:
                path = Path(folder) / "picture"
                storage.fetch(reference.removeprefix(STORAGE), path, _LARGEST)
                known[reference] = _seen(field, path)
            seen[field] = known[reference]
    return seen


def _stored(references: Mapping[str, str]) -> Iterable[tuple[str, str]]:
    return ((f, r) for f, r in references.items() if is_picture_field(f) and r.startswith(STORAGE))


def _is_shown(field: str) -> bool:
    return is_picture_field(field) or field in VIDEO_FIELDS


def _seen(field: str, path: Path) -> Seen:
    if field in VIDEO_FIELDS:
        video = probe(path, field=field)
        return Seen((video.width, video.height))
    picture = load_image(path, limits=ImageLimits(), field=field)
    small = Image.fromarray(picture)
    small.thumbnail((_SMALL, _SMALL), Image.Resampling.LANCZOS)
    return Seen((picture.shape[1], picture.shape[0]), np.asarray(small))
