"""Seconds as frames."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from headless.planning.lengths import Room, clip_length, clips_needed, fits_alone, frames_of, split

FIRST, LATER = Room(0), Room(5)


@pytest.mark.parametrize(
    ("shown", "room", "frames"),
    [
        (80, FIRST, 81),
        (79, FIRST, 77),
        (79.1, FIRST, 81),
        (1, FIRST, 1),
        (0.5, FIRST, 1),
        (80, LATER, 85),
        (76, LATER, 81),
        (78, LATER, 81),
        (78.01, LATER, 85),
        (1, LATER, 9),
        (1, Room(0, least=5), 5),
        (10, Room(9, end=1), 21),
        (1, Room(1, end=1, least=5), 5),
    ],
)
def test_the_length_of_one_clip(shown: float, room: Room, frames: int) -> None:
    assert clip_length(shown, room) == frames


@settings(deadline=None)
@given(st.floats(0.1, 1000), st.sampled_from([0, 1, 5, 9, 13]), st.integers(0, 1), st.sampled_from([1, 5]))
def test_no_other_length_is_nearer(shown: float, head: int, end: int, least: int) -> None:
    room = Room(head, end, least)
    legal = [f for f in range(1, 1100, 4) if f >= least and f - head - end >= 1]
    nearest = min(abs(f - head - end - shown) for f in legal)
    made = clip_length(shown, room)
    assert made in legal
    assert abs(made - head - end - shown) == pytest.approx(nearest)


def test_a_split_is_even() -> None:
    assert split(480, [FIRST, *[LATER] * 5, LATER]) == (73,) * 7
    assert split(484, [FIRST, *[LATER] * 6]) == (77, *[73] * 6)
    assert sum(split(480, [FIRST] + [LATER] * 6)) - 30 == 481


def test_a_split_has_no_clip_that_shows_nothing() -> None:
    assert split(0.1, [FIRST, LATER, LATER]) == (1, 9, 9)


@pytest.mark.parametrize(
    ("shown", "alone", "count"),
    [
        (81, True, 2),
        (83, True, 2),
        (83.1, False, 2),
        (157, False, 2),
        (159, False, 2),
        (160, False, 3),
        (480, False, 7),
    ],
)
def test_how_many_clips(shown: float, alone: bool, count: int) -> None:
    assert fits_alone(shown, 81, FIRST) is alone
    assert clips_needed(shown, 81, FIRST, LATER, LATER) == count


def test_clips_that_show_nothing_are_never_enough() -> None:
    with pytest.raises(ValueError, match="shows nothing"):
        clips_needed(100, 5, FIRST, LATER, LATER)


def test_a_tenth_of_a_second_is_a_whole_frame() -> None:
    assert frames_of(0.1, 10) == 1
    assert frames_of(0.7, 10) == 7
