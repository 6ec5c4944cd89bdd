"""The arithmetic of settled layers, without a network."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from models.vae_encode import chunk_spans
from models.vae_runs import Reach, still_since, units_to_skip

WAN = [
    Reach(1),
    *[Reach(2)] * 2,
    Reach(),
    *[Reach(2)] * 2,
    Reach(halves_time=True),
    *[Reach(2)] * 2,
    Reach(halves_time=True),
    *[Reach(2)] * 2,
    Reach(2),
    Reach(),
    Reach(2),
    Reach(1),
]


def test_when_each_resolution_settles() -> None:
    """Full resolution after 11 frames, half after 19, as the specification says."""
    settled = 1
    for unit in WAN[:3]:
        settled = unit.settled(settled)
    assert settled == 11
    for unit in WAN[3:6]:
        settled = unit.settled(settled)
    assert settled == 19


def test_the_deepest_layers_look_back_112_frames() -> None:
    spans = chunk_spans(4 * 60 + 1, end_frame=False)
    skips = units_to_skip(WAN, still_since([False, False, *[True] * 239], [end for _, end in spans]))
    whole = skips.index(len(WAN))
    assert 112 <= spans[whole][0] <= 120


def test_nothing_is_skipped_in_a_clip_of_81_frames_by_the_last_unit() -> None:
    spans = chunk_spans(81, end_frame=False)
    skips = units_to_skip(WAN, still_since([False, False, *[True] * 79], [end for _, end in spans]))
    assert max(skips) < len(WAN)
    assert skips[:3] == (0, 0, 0)


@given(st.lists(st.booleans(), min_size=41, max_size=41))
def test_skipping_only_grows_while_nothing_changes(same: list[bool]) -> None:
    spans = chunk_spans(41, end_frame=False)
    since = still_since(same, [end for _, end in spans])
    skips = units_to_skip(WAN, since)
    for chunk in range(1, len(spans)):
        if since[chunk] == since[chunk - 1]:
            assert skips[chunk] >= skips[chunk - 1]
        else:
            assert skips[chunk] == 0


def test_a_change_is_remembered_from_its_frame_on() -> None:
    same = [False, True, False, True, True, True, False, True, True]
    assert still_since(same, [1, 5, 9]) == (0, 2, 6)


def test_spans() -> None:
    assert chunk_spans(9, end_frame=False) == ((0, 1), (1, 5), (5, 9))
    assert chunk_spans(10, end_frame=True) == ((0, 1), (1, 5), (5, 9), (9, 10))
    assert chunk_spans(2, end_frame=True) == ((0, 1), (1, 2))
