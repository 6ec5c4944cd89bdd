"""Which picture sits where: by CONDITIONING, per path."""

from __future__ import annotations

from typing import Any

import pytest

from headless.planning.slots import slots
from tests.plan.conftest import ChainPlanner

S, E, A = "https://h/start.png", "https://h/end.png", "https://h/anchor.png"
V, TASK = "https://h/clip.mp4", "6f9619ff-8b86-d011-b42d-00c04fc964ff"
SVI: dict[str, Any] = {"model": "wan_tiny_i2v_svi2pro", "start_image": S, "num_frames": 33}
PLAIN: dict[str, Any] = {"start_image": S, "num_frames": 33}
ENDS: dict[str, Any] = {"segments": [{}, {"end_image": E}]}
HINT = ("last latent of segment 0", "before", 1, 4, False)
NINE = ("last 9 frames of segment 0", "before", 0, 8, True)
LAST = ("last frame of segment 0", "before", 0, 0, True)
ANCHOR = ("start_image", "anchor", 0, 0, True)


def end(first: int, last: int) -> tuple[object, ...]:
    return ("segments[1].end_image", "end", first, last, True)


@pytest.mark.parametrize(
    ("fields", "told"),
    [
        (SVI | ENDS, [ANCHOR, HINT, end(33, 33)]),
        (SVI | ENDS | {"end_frame_mode": "slot"}, [ANCHOR, HINT, end(32, 32)]),
        (SVI | ENDS | {"continuation": "pixels"}, [NINE, end(33, 33)]),
        (SVI | ENDS | {"continuation": "pixels", "end_frame_mode": "slot"}, [ANCHOR, HINT, end(32, 32)]),
        (SVI | ENDS | {"continuation": "pixels", "end_frame_mode": "repeat_4"}, [NINE, end(29, 32)]),
        (SVI | ENDS | {"continuation": "last_frame", "end_frame_mode": "in_chunk"}, [LAST, end(32, 32)]),
        (SVI | ENDS | {"overlap": 0}, [ANCHOR, end(33, 33)]),
        (SVI | {"segments": [{}, {}], "anchor_image": A}, [("anchor_image", "anchor", 0, 0, True), HINT]),
        (PLAIN | ENDS, [LAST, end(33, 33)]),
        (PLAIN | ENDS | {"continuation": "pixels", "end_frame_mode": "in_chunk"}, [NINE, end(32, 32)]),
        (PLAIN | {"segments": [{}, {}]}, [LAST]),
    ],
)
def test_what_a_later_clip_is_told(
    chain: ChainPlanner, fields: dict[str, Any], told: list[tuple[object, ...]]
) -> None:
    found = slots(chain(**fields).clips[1])
    assert [(slot.what, slot.role, slot.first, slot.last, slot.known) for slot in found] == told


@pytest.mark.parametrize(
    ("fields", "told"),
    [
        (PLAIN, [("start_image", "start", 0, 0)]),
        ({"num_frames": 33}, []),
        ({"num_frames": 33, "end_image": E}, [("end_image", "end", 32, 32)]),
        (PLAIN | {"continue_from": V}, [("last 9 frames of continue_from", "before", 0, 8)]),
        (
            SVI | {"extend_from": TASK, "overlap": 8},
            [("start_image", "anchor", 0, 0), ("last 2 latents of extend_from", "before", 1, 8)],
        ),
        (PLAIN | {"extend_from": V}, [("last frame of extend_from", "before", 0, 0)]),
    ],
)
def test_what_a_first_clip_is_told(
    chain: ChainPlanner, fields: dict[str, Any], told: list[tuple[object, ...]]
) -> None:
    found = slots(chain(**fields).clips[0])
    assert [(slot.what, slot.role, slot.first, slot.last) for slot in found] == told


def test_the_latents_of_a_slot(chain: ChainPlanner) -> None:
    told = slots(chain(**SVI, **ENDS).clips[1])
    assert [slot.latents for slot in told] == [(0, 0), (1, 1), (9, 9)]
    assert told[1].as_json() == {
        "what": "last latent of segment 0",
        "role": "before",
        "frames": [1, 4],
        "latents": [1, 1],
        "known": False,
    }
