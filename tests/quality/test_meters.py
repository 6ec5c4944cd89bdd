"""Meters of frames and clips, by their properties."""

from __future__ import annotations

import json
from itertools import groupby

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from headless.quality.clip_meter import ClipMeter, measure, seam_between
from headless.quality.drift import drift
from headless.quality.frame_look import colour_step, difference, look_at
from headless.quality.runs import longest_run, longest_share
from headless.quality.seam import seam
from headless.quality.thresholds import Thresholds, load_thresholds
from headless.quality.verdict import warnings
from headless.segment import Picture
from tests.tools.quality_clips import CLIPS, flat, moving, picture, scene

FEW = settings(deadline=None, max_examples=30)
PICTURES = arrays.arrays(np.uint8, (12, 16, 3))
STEPS = st.lists(st.floats(0, 255), min_size=1, max_size=40)


@FEW
@given(st.lists(st.booleans(), max_size=40))
def test_the_longest_run(flags: list[bool]) -> None:
    assert longest_run(flags) == max((len(list(group)) for flag, group in groupby(flags) if flag), default=0)
    assert 0 <= longest_share(flags) <= 1
    assert (longest_share(flags) == 1) == (bool(flags) and all(flags))


@FEW
@given(PICTURES, PICTURES)
def test_a_difference_is_symmetric_and_zero_for_equal_frames(one: Picture, other: Picture) -> None:
    a, b = look_at(one), look_at(other)
    assert difference(a, a) == colour_step(a, a) == 0
    assert difference(a, b) == pytest.approx(difference(b, a))
    assert colour_step(a, b) == pytest.approx(colour_step(b, a))
    assert 0 <= difference(a, b) <= 255


@FEW
@given(st.integers(0, 235), st.integers(1, 20))
def test_a_known_difference_is_measured(level: int, step: int) -> None:
    assert difference(look_at(flat(level)), look_at(flat(level + step))) == pytest.approx(step)


@FEW
@given(PICTURES)
def test_a_frame_is_not_black_and_grey_at_once(frame: Picture) -> None:
    limits, look = load_thresholds(), look_at(frame)
    assert not (look.is_black(limits) and look.is_grey(limits))
    assert 0 <= look.bright <= 255.000001
    assert look.bright >= 0


@pytest.mark.parametrize(("share", "black"), [(0.01, True), (0.03, False)])
def test_a_few_bright_pixels_leave_a_frame_black(share: float, black: bool, limits: Thresholds) -> None:
    frame = np.zeros((64, 100, 3), np.uint8)
    frame[:, : round(100 * share)] = 255
    assert look_at(frame).is_black(limits) is black


def test_large_frames_are_measured_on_a_grid_that_agrees_with_all_pixels() -> None:
    large = picture(scene().repeat(7, axis=0).repeat(7, axis=1))
    whole, sampled = large.astype(np.float64) @ (0.2126, 0.7152, 0.0722), look_at(large)
    assert sampled.pixels.size < whole.size / 50
    assert sampled.luma_mean == pytest.approx(whole.mean(), abs=1)
    assert sampled.luma_std == pytest.approx(whole.std(), abs=1)


@FEW
@given(STEPS, st.data())
def test_a_seam_among_equal_steps_is_one(steps: list[float], data: st.DataObject) -> None:
    border = data.draw(st.integers(1, len(steps)))
    level = [max(steps[0], 1.0)] * len(steps)
    score = seam(level, level, border)
    if len(steps) > 1:
        assert (score.difference, score.colour) == (1, 1)
    higher = [*level]
    higher[border - 1] *= 5
    assert seam(higher, level, border).difference == pytest.approx(5 * score.difference)
    assert seam(higher, level, border).colour == score.colour


@FEW
@given(STEPS, st.floats(0.5, 4), st.data())
def test_a_seam_is_the_same_in_any_unit_above_the_floor(
    steps: list[float], scale: float, data: st.DataObject
) -> None:
    border = data.draw(st.integers(1, len(steps)))
    high = [step + 2 for step in steps]
    scaled = [step * scale for step in high]
    if len(steps) > 1:
        assert seam(scaled, scaled, border).difference == pytest.approx(seam(high, high, border).difference)


def test_a_still_clip_does_not_magnify_its_noise() -> None:
    assert seam([0.01, 0.2, 0.01], [0.0, 0.01, 0.0], 2).difference == pytest.approx(0.4)


@pytest.mark.parametrize("border", [0, 4, -1])
def test_a_border_outside_the_clip_is_refused(border: int) -> None:
    with pytest.raises(ValueError, match="legal for these steps is 1 to 3"):
        seam([1, 1, 1], [1, 1, 1], border)


@pytest.mark.parametrize("head", [1, 4, 9])
def test_the_seam_of_a_continuation_is_that_between_two_clips(head: int, limits: Thresholds) -> None:
    clip = CLIPS["jump"]()
    within = measure(clip, limits, head=head).seam
    assert within == seam_between([*clip[:head]], [*clip[head:]])
    assert within is not None
    assert limits.seam_difference.flagged_by(within.difference) is (head == 9)


def test_a_clip_that_continues_nothing_has_no_seam_and_without_anchor_no_drift(limits: Thresholds) -> None:
    scores = measure(moving(), limits)
    assert scores.seam is None
    assert scores.drift is None
    assert set(scores.as_json()) == {"black_share", "grey_share", "frozen_share", "motion"}


@FEW
@given(st.integers(0, 16), st.integers(1, 17))
def test_black_frames_are_counted_where_they_are_new(start: int, count: int) -> None:
    limits, clip = load_thresholds(), moving()[:, ::4, ::4].copy()
    clip[start : start + count] = 0
    black = len(range(start, min(start + count, 17)))
    assert measure(clip, limits).black_share == pytest.approx(black / 17)
    for head in (4, 9):
        new = len(range(max(start, head), min(start + count, 17)))
        meter = ClipMeter(limits, head)
        for frame in clip:
            meter.offer(frame)
        assert meter.scores().black_share == pytest.approx(new / (17 - head))
        assert meter.continues_black == (start < head <= start + count)
        assert not meter.continues_grey


def test_the_head_does_not_count_as_motion_or_stillness(limits: Thresholds) -> None:
    still = np.concatenate([moving()[:9], CLIPS["frozen"]()[:8]])
    assert measure(still, limits, head=9).frozen_share == 1
    assert measure(still, limits, head=9).motion == 0
    assert measure(still, limits).frozen_share == pytest.approx(7 / 16)
    assert measure(still, limits).motion > 0


def test_motion_is_in_levels(limits: Thresholds) -> None:
    clip = np.stack([flat(100 + 3 * index) for index in range(5)])
    assert measure(clip, limits).motion == pytest.approx(3)


def test_faster_is_more_motion(limits: Thresholds) -> None:
    speeds = [
        measure([picture(scene(speed * i)) for i in range(6)], limits).motion
        for speed in (0.0, 0.2, 1.0, 3.0)
    ]
    assert speeds == sorted(speeds)
    assert speeds[0] == 0 < speeds[1]


def test_one_frame_is_a_clip(limits: Thresholds) -> None:
    scores = measure([flat(0)], limits)
    assert (scores.black_share, scores.frozen_share, scores.motion) == (1, 0, 0)


def test_no_new_frame_is_refused(limits: Thresholds) -> None:
    with pytest.raises(ValueError, match="2 frames were offered, and the first 2 are not new"):
        measure([flat(0), flat(0)], limits, head=2)


@FEW
@given(st.integers(-60, 60))
def test_drift_knows_its_direction(offset: int) -> None:
    anchor = look_at(flat(128))
    moved = drift([look_at(flat(128 + offset))], anchor)
    assert np.sign(moved.lab_mean[0]) == np.sign(offset)
    assert moved.delta_e == pytest.approx(abs(float(moved.lab_mean[0])), abs=1e-6)


def test_drift_looks_at_the_last_four_frames(limits: Thresholds) -> None:
    clip = np.concatenate([moving(), np.stack([flat(200)] * 4)])
    scores = measure(clip, limits, anchor=flat(200))
    assert scores.drift is not None
    assert scores.drift.delta_e == pytest.approx(0, abs=1e-9)
    assert measure(clip[:-1], limits, anchor=flat(200)).drift.delta_e > 1  # type: ignore[union-attr]  # has an anchor


def test_drift_of_many_frames_is_that_of_the_last_four() -> None:
    looks, anchor = [look_at(flat(20 * index)) for index in range(10)], look_at(flat(90))
    last = drift(looks[-4:], anchor).delta_e
    assert drift(looks, anchor).delta_e == last
    assert drift([looks[0], *looks[-3:]], anchor).delta_e != pytest.approx(last)


def test_drift_sees_contrast() -> None:
    anchor = look_at(picture(scene()))
    flatter = drift([look_at(picture((scene() - 128) * 0.5 + 128))], anchor)
    assert flatter.contrast == pytest.approx(0.5, abs=0.1)
    assert flatter.lab_std[0] < 0


def test_drift_needs_a_frame() -> None:
    with pytest.raises(ValueError, match="at least one frame"):
        drift([], look_at(flat(0)))


@pytest.mark.parametrize("name", sorted(CLIPS))
def test_scores_are_plain_json(name: str, limits: Thresholds) -> None:
    told = measure(CLIPS[name](), limits, head=2, anchor=flat(90)).as_json()
    assert json.loads(json.dumps(told, allow_nan=False)) == told


@pytest.mark.parametrize(
    ("name", "says"),
    [
        ("moving", []),
        ("flash of black", []),
        ("grey tail", ["4 frames in a row are plain grey"]),
        ("frozen tail", ["11 frames in a row are frozen"]),
        ("jump", ["the clip jumps where it begins", "the colours jump where the clip begins"]),
        ("colour jump", ["the colours jump where the clip begins"]),
        ("drifting", ["Delta E away from its anchor"]),
    ],
)
def test_what_is_worth_a_warning(name: str, says: list[str], limits: Thresholds) -> None:
    head = 9 if "jump" in name else 0
    told = warnings(measure(CLIPS[name](), limits, head=head, anchor=picture(scene())), limits)
    assert len(told) == len(says)
    assert all(part in line for part, line in zip(says, told, strict=True))
