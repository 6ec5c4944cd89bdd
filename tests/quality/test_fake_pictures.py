"""The fake engine's clips pass the output checks, whatever the images are; its faults do what they say."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from headless.adapters.fake_faults import Fault, read_faults
from headless.adapters.fake_pictures import Spoiler, numbered_clip
from headless.adapters.numbered_frames import read_number
from headless.quality.clip_meter import measure
from headless.quality.thresholds import load_thresholds
from headless.quality.verdict import Check, flaws, unlike
from headless.segment import Clip, Picture, SegmentRequest
from tests.tools.small_requests import small_request

EVERY = tuple(Check)


def _request(
    width: int, height: int, frames: int, start: Picture | None, end: Picture | None
) -> SegmentRequest:
    return small_request(
        width=width,
        height=height,
        num_frames=frames,
        seed=1,
        end_frame_mode="in_chunk",
        start_image=start,
        end_image=end,
    )


def _image(kind: str, width: int, height: int) -> Picture | None:
    if kind == "none":
        return None
    if kind == "noise":
        return np.random.default_rng(5).integers(0, 256, (height, width, 3), dtype=np.uint8)
    levels = {"white": (255, 255, 255), "black": (0, 0, 0), "red": (200, 10, 20)}
    return np.full((height, width, 3), levels[kind], np.uint8)


KINDS = st.sampled_from(["none", "noise", "white", "black", "red"])


@settings(deadline=None, max_examples=40)
@given(st.sampled_from([(64, 64), (208, 112), (64, 128)]), st.sampled_from([5, 9, 17]), KINDS, KINDS)
def test_every_clip_passes(size: tuple[int, int], frames: int, start: str, end: str) -> None:
    limits, images = load_thresholds(), (_image(start, *size), _image(end, *size))
    clip = list(numbered_clip(_request(*size, frames, *images), 0, continues=False))
    assert [read_number(frame) for frame in clip] == list(range(frames))
    assert flaws(measure(clip, limits), 0, EVERY, limits) == ()
    for check, frame, image in zip((Check.START, Check.END), (clip[0], clip[-1]), images, strict=True):
        assert image is None or unlike(check, frame, image, "image", limits) == ()


def test_a_continuation_does_not_begin_with_the_start_image() -> None:
    white = _image("white", 64, 64)
    request = _request(64, 64, 9, white, None)
    with_start, without = (list(numbered_clip(request, 3, continues)) for continues in (False, True))
    plain = list(numbered_clip(replace(request, start_image=None), 3, continues=True))
    assert np.array_equal(without, plain)
    assert not np.array_equal(with_start[0], without[0])
    assert np.array_equal(with_start[8], without[8])


def _spoilt(fault: Fault, seed: int = 1) -> tuple[Clip, Clip, Spoiler]:
    clip = list(numbered_clip(_request(64, 64, 9, None, None), 0, continues=False))
    spoiler = Spoiler((fault,), seed)
    return np.stack(clip), np.stack(list(spoiler.spoilt(iter(clip), 9))), spoiler


@pytest.mark.parametrize(
    ("fault", "spoilt"),
    [
        ("black", range(9)),
        ("grey at frame 6", range(6, 9)),
        ("frozen", range(1, 9)),
        ("nan at frame 7", range(7, 9)),
        ("wrong-start", range(1)),
        ("wrong-end", range(8, 9)),
        ("black at seed 1", range(9)),
        ("black at seed 2", range(0)),
        ("bug at decoding", range(0)),
    ],
)
def test_a_fault_spoils_the_frames_it_names(fault: str, spoilt: range) -> None:
    (read,) = read_faults(f"a cat [fault {fault}]")
    clean, shown, spoiler = _spoilt(read)
    assert [index for index in range(9) if not np.array_equal(clean[index], shown[index])] == list(spoilt)
    assert spoiler.not_finite == (len(spoilt) if read.kind == "nan" else 0)


@pytest.mark.parametrize("fault", ["black", "grey", "frozen", "nan", "wrong-start", "wrong-end"])
def test_a_fault_of_pictures_stops_nothing(fault: str) -> None:
    Fault(fault).strike()
