"""What the page on chains shows is what is planned."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageChops, ImageStat

from headless.planning.slots import slots
from scripts import plan_picture


@pytest.mark.parametrize("place", range(6))
def test_the_jobs_on_the_page_can_be_made(place: int) -> None:
    job = plan_picture.jobs()[place]
    chain = plan_picture.planned(job)
    assert len(chain.clips) > 1
    assert {entry.field for entry in chain.adjustments} <= {"seconds"}
    assert all(slots(clip) for clip in chain.clips)


def test_the_page_has_no_other_jobs() -> None:
    assert len(plan_picture.jobs()) == 6


def test_the_numbers_on_the_page() -> None:
    page = " ".join(plan_picture.PAGE.read_text(encoding="utf-8").split())
    fox, _, half_a_minute, *_ = (plan_picture.planned(job) for job in plan_picture.jobs())
    segment = fox.clips[1]
    assert f'"index": 1, "seed": {segment.seed}, "frames": {segment.shown_frames}' in page
    assert f'"first_frame": {segment.first_frame}, "continuation": "{segment.continues}"' in page
    frames, length = half_a_minute.frames_out, half_a_minute.duration_seconds
    assert f"30 s at 16 frames per second become {frames} frames, {length} s" in page


def test_the_picture_on_the_page_is_current() -> None:
    now = Image.fromarray(plan_picture.picture())
    with Image.open(plan_picture.PICTURE) as then:
        assert now.size == then.size
        # Letters may be smoothed a little differently by another build of the font library.
        difference = ImageStat.Stat(ImageChops.difference(now, then.convert("RGB"))).mean
    assert max(difference) < 0.2, "run python -m scripts.plan_picture"


def test_the_picture_is_written(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    drawn = np.zeros((8, 16, 3), np.uint8)
    monkeypatch.setattr(plan_picture, "picture", lambda: drawn)
    monkeypatch.setattr(plan_picture, "ROOT", tmp_path)
    monkeypatch.setattr(plan_picture, "PICTURE", tmp_path / "img" / "plan.png")
    plan_picture.main()
    assert capsys.readouterr().out == f"drawn {Path('img') / 'plan.png'}\n"
    with Image.open(tmp_path / "img" / "plan.png") as written:
        assert written.size == (16, 8)
