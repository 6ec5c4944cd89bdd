"""Previews of a second try do not stand in the way of those of the first."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from headless.adapters.local_storage import LocalStorage
from headless.previews import SECONDS_BETWEEN_PREVIEWS, Previews
from headless.segment import Picture
from tests.worker.fake_clock import FakeClock


def test_the_steps_of_a_second_try_have_previews_with_names_of_their_own(tmp_path: Path) -> None:
    clock, shown = FakeClock(), list[str]()

    def picture() -> Picture:
        return np.full((8, 8, 3), 10 * len(shown), np.uint8)

    with Previews(LocalStorage(tmp_path / "files"), clock, tmp_path, "outputs/a", shown.append) as previews:
        for step in (1, 2, 1, 2):
            clock.advance(SECONDS_BETWEEN_PREVIEWS)
            previews.offer(step, picture)
            assert previews._pending is not None
            previews._pending.result()
    assert shown == [
        "outputs/a/preview-0001.webp",
        "outputs/a/preview-0002.webp",
        "outputs/a/preview-again-0001.webp",
        "outputs/a/preview-again-0002.webp",
    ]
