"""The picture of a plan, by the colours of its pixels."""

from __future__ import annotations

from typing import Any

import numpy as np

from headless.planning import picture
from headless.planning.chain import ChainPlan
from headless.planning.picture import Picture, chain_picture
from tests.plan.conftest import ChainPlanner

S, E = "https://h/start.png", "https://h/end.png"
SVI: dict[str, Any] = {"model": "wan_tiny_i2v_svi2pro", "start_image": S, "num_frames": 33}
KNOWN, HINT, NEW, CUT, HANDED = (255, 184, 76), (122, 196, 140), (58, 124, 196), (74, 78, 88), (190, 140, 240)
TOP, STRIP, BAR = 142, 232, 118
"""Where the first strip begins, how high one is, and where in it the frames begin."""


def row(drawn: Picture, segment: int, down: int) -> Picture:
    """One row of pixels of a strip, where the frames are, `down` from their upper edge."""
    found: Picture = drawn[TOP + segment * STRIP + BAR + down, 278:]
    return found


def share(pixels: Picture, colour: tuple[int, int, int]) -> float:
    """How much of the row has that colour."""
    return float((pixels == np.array(colour, np.uint8)).all(axis=-1).mean())


def drawn(chain: ChainPlan, **pictures: Picture) -> Picture:
    made = chain_picture(chain, pictures)
    assert made.dtype == np.uint8
    assert made.shape[1:] == (1760, 3)
    return made


def test_every_frame_has_its_share(chain: ChainPlanner) -> None:
    plan = chain(**SVI, segments=[{}, {"end_image": E}], end_tail_latents=2)
    made = drawn(plan)
    frames, width = 41 + 1, 0.95
    for segment, (head, shown, tail) in enumerate([(0, 33, 8), (5, 28, 8)]):
        foot = row(made, segment, 39)
        grey, known = head + tail, 0 if segment else 1
        assert abs(share(foot, NEW) - width * (shown - known) / frames) < 0.01
        assert abs(share(foot, CUT) - width * grey / frames) < 0.01
    above = row(made, 1, 5)
    assert abs(share(above, HINT) - width * 4 / frames) < 0.01
    assert abs(share(above, KNOWN) - width * 2 / frames) < 0.01
    assert share(row(made, 0, 5), HINT) == 0


def test_latents_that_are_told_are_filled(chain: ChainPlanner) -> None:
    made = drawn(chain(**SVI, segments=[{}, {}], reroll={"1": [8]}))
    assert share(row(made, 0, 55), HINT) == 0
    assert abs(share(row(made, 1, 55), HINT) - 4 / 34) < 0.01
    assert abs(share(row(made, 1, 55), KNOWN) - 1 / 34) < 0.01


def test_what_is_handed_to_the_next_is_marked(chain: ChainPlanner) -> None:
    made = drawn(chain(**SVI, segments=[{}, {}, {}], continuation="pixels"))
    marked = [share(row(made, segment, 74), HANDED) for segment in range(3)]
    assert marked[2] == 0
    assert abs(marked[0] - 9 / 34) < 0.03
    assert marked[0] == marked[1]


def test_known_pictures_are_shown_where_they_sit(chain: ChainPlanner) -> None:
    red = np.zeros((64, 128, 3), np.uint8)
    red[..., 0] = 200
    made = drawn(chain(**SVI, segments=[{}, {"end_image": E}]), **{"segments[1].end_image": red})
    ys, xs = np.nonzero((made == np.array((200, 0, 0), np.uint8)).all(axis=-1))
    assert len(xs) == 64 * 128
    assert ys.min() > TOP + STRIP
    assert ys.max() < TOP + STRIP + BAR
    assert xs.min() > 1760 / 2


def test_many_segments_are_drawn_low(chain: ChainPlanner) -> None:
    few, many = (drawn(chain(**SVI, segments=[{}] * count)) for count in (24, 25))
    assert few.shape[0] == TOP + 24 * STRIP + 28
    assert many.shape[0] < few.shape[0] / 2


def test_the_longest_plan_can_be_drawn(chain: ChainPlanner) -> None:
    plan = chain(**SVI, segments=[{"prompt": "x" * 2_000, "end_image": f"{E}?{i}"} for i in range(256)])
    assert drawn(plan).shape[0] < 65_535


def test_a_long_prompt_is_cut(chain: ChainPlanner) -> None:
    short, long = (drawn(chain(start_image=S, prompt="word " * count)) for count in (1, 2000))
    assert short.shape == long.shape
    assert not np.array_equal(short, long)
    assert (long[:, -picture._MARGIN :] == long[0, 0]).all()
