from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import numpy.typing as npt
import pytest

from headless.quality.clip_meter import measure, seam_between
from headless.quality.movie_meter import MovieMeter, seams_at
from headless.quality.seam import Seam
from headless.quality.thresholds import Thresholds
from headless.segment import Picture


def frame(at: float, tint: float = 0.0, height: int = 64, width: int = 96) -> Picture:
    """A soft pattern that moves evenly with `at`, 96 steps around; `tint` is in levels of red."""
    x, y = np.meshgrid(np.arange(width), np.arange(height))
    wave = 128 + 60 * np.sin(2 * np.pi * (x + at) / 96) + 20 * np.cos(y / 9)
    colours: npt.NDArray[np.float64] = np.stack([wave + tint, wave, wave - tint / 2], axis=-1)
    return np.clip(colours, 0, 255).astype(np.uint8)


def even(start: float, count: int, tint: float = 0.0) -> list[Picture]:
    return [frame(start + number, tint) for number in range(count)]


def metered(limits: Thresholds, *segments: list[Picture], before: list[Picture] | None = None) -> MovieMeter:
    meter = MovieMeter(limits)
    for picture in before or []:
        meter.offer(picture)
    for pictures in segments:
        meter.begin()
        for picture in pictures:
            meter.offer(picture)
    return meter


def test_a_seamless_chain(limits: Thresholds) -> None:
    segments = metered(limits, even(0, 12), even(12, 10), even(22, 12)).segments()
    assert [(one.first_frame, one.frames) for one in segments] == [(0, 12), (12, 10), (22, 12)]
    assert segments[0].seam is None
    for one in segments[1:]:
        assert one.seam is not None
        assert one.seam.difference == pytest.approx(1, abs=0.15)
        assert not limits.seam_difference.flagged_by(one.seam.difference)


@pytest.mark.parametrize("spoilt", [1, 2])
def test_a_jump_is_found_where_it_is(spoilt: int, limits: Thresholds) -> None:
    parts = [even(0, 12), even(12, 12), even(24, 12)]
    parts[spoilt:] = [[np.roll(one, 24, axis=1) for one in part] for part in parts[spoilt:]]
    segments = metered(limits, *parts).segments()
    flagged = [
        index
        for index, one in enumerate(segments)
        if one.seam is not None and limits.seam_difference.flagged_by(one.seam.difference)
    ]
    assert flagged == [spoilt]


def test_a_jump_of_colour_is_found(limits: Thresholds) -> None:
    seams = seams_at([*even(0, 12), *even(12, 12, tint=30), *even(24, 12, tint=30)], [12, 24])
    assert [limits.seam_colour.flagged_by(one.colour) for one in seams] == [True, False]


def test_the_same_as_the_seam_between_two_clips(limits: Thresholds) -> None:
    earlier, later = even(0, 15), even(20, 14)
    expected = seam_between(earlier, later)
    assert seams_at([*earlier, *later], [15]) == (expected,)
    assert metered(limits, earlier, later).segments()[1].seam == expected


def test_nine_frames_of_what_came_before_are_enough(limits: Thresholds) -> None:
    earlier, later = even(0, 30), even(33, 12)
    whole = metered(limits, earlier, later).segments()[1]
    resumed = metered(limits, later, before=earlier[-9:]).segments()[0]
    assert resumed.seam == whole.seam
    assert resumed.scores == whole.scores
    assert (resumed.first_frame, whole.first_frame) == (0, 30)


def test_the_border_of_a_loop(limits: Thresholds) -> None:
    """96 steps lead back to the beginning; one frame less or more is a jump or stands still."""
    around = even(0, 96)
    assert seams_at(around, [], loop=True)[0].difference == pytest.approx(1, abs=0.15)
    assert metered(limits, around[:40], around[40:]).loop_seam() == seams_at(around, [], loop=True)[0]
    assert seams_at(even(0, 97), [], loop=True)[0].difference == 0
    assert limits.seam_difference.flagged_by(seams_at(even(0, 80), [], loop=True)[0].difference)


@pytest.mark.parametrize("count", [1, 2, 5])
def test_short_loops(count: int) -> None:
    (score,) = seams_at(even(0, count), [], loop=True)
    assert (score.difference == 0) == (count == 1)


def test_freeze_and_drift_belong_to_their_segment(limits: Thresholds) -> None:
    meter = MovieMeter(limits)
    parts = [even(0, 12), [frame(12)] * 12, even(13, 12, tint=40)]
    for part in parts:
        meter.begin(anchor=frame(0))
        for picture in part:
            meter.offer(picture)
    first, frozen, drifted = meter.segments()
    assert [one.scores.frozen_share for one in (first, frozen, drifted)] == [0, 1, 0]
    drifts = [one.scores.drift for one in (first, frozen, drifted)]
    assert [limits.drift_delta_e.flagged_by(one.delta_e) for one in drifts if one] == [False, False, True]
    for one, part in zip((first, frozen, drifted), parts, strict=True):
        assert one.scores.as_json() == measure(part, limits, anchor=frame(0)).as_json()


def test_as_json(limits: Thresholds) -> None:
    first, second = metered(limits, even(0, 10), even(10, 10)).segments()
    assert set(first.as_json()) == {"scores"}
    told = second.as_json()
    assert told["seam"] == (second.seam or Seam(0, 0)).as_json()
    assert told["scores"] == second.scores.as_json()


def test_what_cannot_be_measured_is_refused(limits: Thresholds) -> None:
    with pytest.raises(ValueError, match="no frame was offered"):
        MovieMeter(limits).loop_seam()
    with pytest.raises(ValueError, match="border is 0"):
        seams_at(even(0, 5), [0])
    with pytest.raises(ValueError, match="border is 5"):
        seams_at(even(0, 5), [5])
    empty = metered(limits, even(0, 5))
    empty.begin()
    with pytest.raises(ValueError, match="no frame of it was offered"):
        empty.segments()


def test_frames_are_not_kept() -> None:
    """A video of any length is read frame by frame."""
    alive = 0

    def counted() -> Iterator[Picture]:
        nonlocal alive
        buffer = frame(0)
        for number in range(40):
            buffer[:] = frame(number)  # What had been kept would change now.
            alive += 1
            yield buffer

    assert seams_at(counted(), [20]) == seams_at(even(0, 40), [20])
    assert alive == 40
