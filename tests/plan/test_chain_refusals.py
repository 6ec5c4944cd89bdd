"""Chains that are refused, and what the message says."""

from __future__ import annotations

from typing import Any

import pytest

from headless.errors import BadParams
from tests.plan.conftest import ChainPlanner

S, E, A = "https://h/start.png", "https://h/end.png", "https://h/anchor.png"
V, TASK = "https://h/clip.mp4", "6f9619ff-8b86-d011-b42d-00c04fc964ff"
SVI: dict[str, Any] = {"model": "wan_tiny_i2v_svi2pro", "start_image": S}
TWO: dict[str, Any] = {"segments": [{}, {}]}


@pytest.mark.parametrize(
    ("fields", "says"),
    [
        (
            {**SVI, "segments": [{}, {"num_frames": 165}]},
            r"segments\[1\]: num_frames is 165: model wan_tiny_i2v_svi2pro makes clips of 1 to 161 frames",
        ),
        (
            {**SVI, **TWO, "num_frames": 161, "end_tail_latents": 1},
            r"num_frames is 161, and end_tail_latents 1 makes the clip 4 longer: model .* 1 to 161 frames",
        ),
        (
            {**SVI, "seconds": 15, "num_frames": 165},
            "num_frames is 165: model .* makes clips of 1 to 161 frames",
        ),
        ({**SVI, **TWO, "overlap": 16}, r"segments\[1\]: num_frames is 17: a clip of 17 frames adds nothing"),
        (
            {**SVI, "segments": [{"num_frames": 5}, {}], "overlap": 8},
            r"segments\[1\] needs the last 9 frames of the one before, which has only 5: give a smaller",
        ),
        (
            {"start_image": S, "segments": [{"num_frames": 5}, {}], "continuation": "pixels"},
            r"segments\[1\] needs the last 9 frames of the one before, which has only 5",
        ),
        (
            {**SVI, **TWO, "overlap": 8, "motion_latent_count": 1},
            "overlap is 8, which is 2 latents, and motion_latent_count is 1: give one of them",
        ),
        (
            {"start_image": S, **TWO, "continuation": "latents"},
            r"latents\", and segments\[1\] has no svi2pro",
        ),
        (
            {"extend_from": TASK, "continuation": "latents"},
            'continuation is "latents", and has no svi2pro, which alone goes on from latents',
        ),
        (
            {**SVI, "segments": [{}, {"end_image": E, "end_frame_mode": "in_chunk"}]},
            r'segments\[1\]: end_frame_mode is "in_chunk", .* in pixels, and continuation is "latents"',
        ),
        (
            {"images": [S, A, E], "model": "wan_tiny_i2v_svi2pro", "end_frame_mode": "repeat_4"},
            r'the segment from images\[1\]: end_frame_mode is "repeat_4", which works in pixels',
        ),
        (
            {**SVI, "extend_from": TASK, "end_image": E, "end_frame_mode": "in_chunk"},
            "which works in pixels, and extend_from is a task, which hands over latents",
        ),
        ({"segments": [{}, {}], "loop": True}, "there is no picture of the first frame .* give start_image"),
        (
            {**SVI, "anchor_image": A, "segments": [{}, {"end_image": S}], "loop": True},
            r"segments\[1\].end_image is .*start.png.*: a loop .* its first frame, which is anchor_image",
        ),
        ({**SVI, **TWO, "reroll": {"2": [1]}}, "reroll names segment 2, and this video has 2.* give 0 to 1"),
        ({**SVI, "reroll": {"1": [1]}}, "reroll names segment 1, and this video has 1, .* give 0"),
        ({**SVI, **TWO, "seed": 3, "reroll": {"0": [3]}}, "reroll gives segment 0 the seed 3, which it has"),
        ({**SVI, "seconds": 1200, "num_frames": 33}, r"that is 686 clips of 33 frames .* at most 256"),
        ({**SVI, "seconds": 60, "num_frames": 5}, "num_frames is 5: the first 5 frames of a clip repeat"),
        ({**TWO, "color_lock": "anchor"}, 'color_lock is "anchor", and there is no picture whose colours'),
        (
            {"model": "t2v_1.3B", "seconds": 30},
            "t2v_1.3B makes videos of text only, so that no clip can continue another",
        ),
        ({**SVI, **TWO, "start_image": None}, "which needs to know how things look"),
    ],
)
def test_a_chain_that_cannot_be_made(chain: ChainPlanner, fields: dict[str, Any], says: str) -> None:
    with pytest.raises(BadParams, match=says):
        chain(**fields)


@pytest.mark.parametrize(
    ("size", "fields", "says"),
    [
        ((853, 479), {}, "extend_from is 853 x 479 pixels, .* multiples of 16"),
        ((832, 480), {"width": 640, "height": 480}, "width and height are 640 x 480, .* give 832 x 480"),
    ],
)
def test_an_extension_in_another_size(
    chain: ChainPlanner, size: tuple[int, int], fields: dict[str, Any], says: str
) -> None:
    with pytest.raises(BadParams, match=says):
        chain(**SVI, extend_from=V, sizes={"extend_from": size}, **fields)


def test_the_longest_clip_counts_its_tail_and_not_what_is_repeated(chain: ChainPlanner) -> None:
    fits = chain(**SVI, num_frames=153, end_tail_latents=2, **TWO)
    assert [clip.plan.num_frames for clip in fits.clips] == [161, 161]
