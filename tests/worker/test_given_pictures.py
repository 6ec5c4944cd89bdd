"""Pictures of a task: known by their headers, decoded one at a time, kept in the size of the clip."""

from __future__ import annotations

import hashlib
import weakref
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from headless import inputs
from headless.media.images import ImageLimits, load_image
from headless.segment import Picture
from tests.worker.place import Place

SIDE = 512
COUNT = 5


class Decoded:
    """Counts decoded pictures that are still in memory, whenever one more is decoded and in the end."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.fields: list[str] = []
        self.alive: list[int] = []
        self._known: list[weakref.ref[Picture]] = []
        monkeypatch.setattr(inputs, "load_image", self._load)

    def count(self) -> int:
        """How many are in memory now."""
        return sum(one() is not None for one in self._known)

    def _load(self, path: Path, *, limits: ImageLimits, field: str) -> Picture:
        self.alive.append(self.count())
        self.fields.append(field)
        picture = load_image(path, limits=limits, field=field)
        self._known.append(weakref.ref(picture))
        return picture


def large(place: Place, number: int) -> str:
    """A picture that is larger than the clip; what a task calls it."""
    return place.picture(SIDE, SIDE, number)


def test_no_two_pictures_are_in_memory_at_their_full_size(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    decoded = Decoded(monkeypatch)
    images = [large(place, number) for number in range(COUNT)]
    task = place.enqueue(place.job(start_image=None, images=[*images, images[0]], anchor_image=images[1]))
    assert place.work() == 0
    result = place.result(task)
    assert decoded.alive == [0] * COUNT
    assert decoded.count() == 0
    assert sorted(decoded.fields) == ["anchor_image", *(f"images[{n}]" for n in range(COUNT) if n != 1)]
    for number, image in enumerate([*images, images[0]]):
        content = (place.local / "files" / image.removeprefix("storage://")).read_bytes()
        assert result["inputs"][f"images[{number}]"] == hashlib.sha256(content).hexdigest()


def test_a_picture_of_the_clips_own_size_is_decoded_for_as_long(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    decoded = Decoded(monkeypatch)
    task = place.enqueue(place.job())
    assert place.work() == 0
    place.result(task)
    assert decoded.fields == ["start_image"]
    assert decoded.count() == 0


def test_damage_behind_the_header_names_the_task_s_own_field(place: Place) -> None:
    whole = place.scratch / "noise.png"
    Image.fromarray(np.random.default_rng(1).integers(0, 256, (64, 64, 3), np.uint8)).save(whole)
    damaged = place.store(whole.read_bytes()[:4000])
    task = place.enqueue(place.job(start_image=None, images=[large(place, 0), damaged]))
    place.work()
    view = place.view(task)
    assert view.status.value == "Failed"
    assert view.error_message is not None
    assert "images[1]: a PNG picture that is damaged or incomplete" in view.error_message
