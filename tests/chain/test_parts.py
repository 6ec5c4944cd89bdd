"""What decides a segment, what a clip hands on, how colours are held together: each by itself."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from headless.chain_colours import ClipColours, colours_of
from headless.clip_frames import write_frames
from headless.errors import BadOutput
from headless.hand_off import HandOff, frames_needed
from headless.params import parse
from headless.planning.chain import ChainClip, ChainPlan
from headless.planning.chain_plan import make_chain
from headless.request import SegmentInputs, build_request
from headless.segment import Generation, Picture, SegmentRequest
from headless.segment_digest import MadeWith, picture_hashes, segment_digest
from headless.task import Json
from headless.wiring import SHIPPED_CONFIGS
from models.registry import load_models_def
from tests.worker.place import MODEL

IMAGE = "storage://inputs/local/a.png"
MADE_WITH = MadeWith({"a": 1}, {"torch": "2"}, {"vae": "f"}, {}, {})


def picture(level: int) -> Picture:
    return np.full((64, 64, 3), level, np.uint8)


def planned(**changes: Json) -> ChainPlan:
    """A chain of two clips of 17 frames."""
    usual: dict[str, Json] = {
        "model": MODEL,
        "prompt": "a cat",
        "start_image": IMAGE,
        "num_frames": 17,
        "width": 64,
        "height": 64,
        "segments": [{}, {}],
    }
    params = parse("generate", usual | changes)
    definition = load_models_def(SHIPPED_CONFIGS).definition(MODEL)
    return make_chain(params, definition, seed_source=lambda: 5)


def request_of(clip: ChainClip, **pictures: Picture) -> SegmentRequest:
    return build_request(clip.plan, SegmentInputs(pictures=pictures), end_tail_latents=clip.tail_latents)


@pytest.mark.parametrize(
    "changed",
    [
        {"prompt": "a dog"},
        {"seed": 6},
        {"start_image": picture(1)},
        {"end_tail_latents": 1},
        {"start_is_last_frame": True},
        {"prefix": np.stack([picture(1)])},
    ],
)
def test_every_value_has_a_part_in_the_hash(changed: dict[str, Any]) -> None:
    request = request_of(planned().clips[0], start_image=picture(0))
    assert segment_digest(request, MADE_WITH) == segment_digest(replace(request), MADE_WITH)
    assert segment_digest(replace(request, **changed), MADE_WITH) != segment_digest(request, MADE_WITH)


@pytest.mark.parametrize("changed", [{"definition": {}}, {"versions": {}}, {"weights": {}}])
def test_what_it_is_made_with_has_a_part_too(changed: dict[str, Any]) -> None:
    request = request_of(planned().clips[0])
    assert segment_digest(request, replace(MADE_WITH, **changed)) != segment_digest(request, MADE_WITH)


def test_a_file_counts_by_its_bytes_and_a_resumption_not_at_all(tmp_path: Path) -> None:
    request = request_of(planned().clips[0])
    for name, content in (("one", b"same"), ("two", b"same"), ("three", b"other")):
        (tmp_path / name).write_bytes(content)
    one, two, three = (
        segment_digest(replace(request, previous_latents=tmp_path / name), MADE_WITH)
        for name in ("one", "two", "three")
    )
    assert one == two != three
    resumed = replace(request, sampled_latents=tmp_path / "one", strict=True)
    assert segment_digest(resumed, MADE_WITH) == segment_digest(request, MADE_WITH)


def test_known_pictures_are_not_hashed_again() -> None:
    given = picture(3)
    request = request_of(planned().clips[0], start_image=given)
    known = replace(MADE_WITH, pictures=picture_hashes([given, None]))
    assert segment_digest(request, known) == segment_digest(request, MADE_WITH)


FRAMES = tuple(picture(level) for level in range(20))
LEFT = HandOff(Path("latents"), FRAMES)


def _second(**changes: Json) -> tuple[ChainClip, SegmentRequest]:
    clip = planned(**changes).clips[1]
    return clip, request_of(clip, anchor_image=picture(200))


def test_latents_are_handed_on_as_a_file() -> None:
    clip, request = _second(svi2pro=True)
    given = LEFT.into(clip, request)
    assert (given.previous_latents, given.prefix) == (Path("latents"), None)
    assert given.anchor_image is request.anchor_image
    assert frames_needed(clip) == 5


@pytest.mark.parametrize(("overlap", "frames"), [(0, 5), (4, 9), (8, 13)])
def test_pixels_are_the_newest_frames(overlap: int, frames: int) -> None:
    clip, request = _second(continuation="pixels", overlap=overlap)
    given = LEFT.into(clip, request)
    assert given.prefix is not None
    assert given.prefix[:, 0, 0, 0].tolist() == list(range(20 - frames, 20))
    assert given.previous_latents is None
    assert frames_needed(clip) == frames


@pytest.mark.parametrize("svi", [True, False])
def test_the_last_frame_is_the_start_and_of_svi_the_anchor(svi: bool) -> None:
    clip, request = _second(continuation="last_frame", svi2pro=svi)
    given = LEFT.into(clip, request)
    assert given.start_image is FRAMES[-1]
    assert given.start_is_last_frame
    assert (given.anchor_image is None) is svi


def test_the_first_clip_has_its_beginning_among_its_inputs() -> None:
    clip = planned(continuation="pixels").clips[0]
    request = request_of(clip)
    assert LEFT.into(clip, request) is request


@pytest.mark.parametrize(
    ("changes", "repeated", "wanted"),
    [
        ({"svi2pro": True}, 4, [16, 17, 18, 19]),
        ({"svi2pro": True, "overlap": 0}, 0, [19]),
        ({"continuation": "pixels", "overlap": 0}, 5, [15, 16, 17, 18, 19]),
        ({"continuation": "last_frame"}, 1, [19]),
    ],
)
def test_what_repeats_is_compared_with_what_was_shown(
    changes: dict[str, Json], repeated: int, wanted: list[int]
) -> None:
    chain = planned(color_lock="previous", **changes)
    assert colours_of(chain, chain.clips[0], picture(9), ()) is None
    colours = colours_of(chain, chain.clips[1], picture(9), FRAMES)
    assert colours is not None
    assert colours.repeated == repeated
    assert [int(frame[0, 0, 0]) for frame in colours.wanted] == wanted


def test_a_lock_to_the_anchor_begins_with_the_first_clip() -> None:
    chain = planned(color_lock="anchor", color_lock_strength=0.5)
    colours = colours_of(chain, chain.clips[0], picture(9), ())
    assert isinstance(colours, ClipColours)
    assert (colours.repeated, colours.strength, len(colours.wanted)) == (0, 0.5, 1)
    assert colours_of(chain, chain.clips[0], None, FRAMES) is None


def test_colours_are_those_that_were_wanted() -> None:
    noise = np.random.default_rng(1).integers(60, 160, (64, 64, 3), dtype=np.uint8)
    darker = (noise * 0.8).astype(np.uint8)
    colours = ClipColours([noise], 1, 1.0)
    assert colours.apply(darker) is darker
    colours.learn([picture(0), darker], picture(0))
    assert np.abs(colours.apply(darker).mean(axis=(0, 1)) - noise.mean(axis=(0, 1))).max() < 2


class Quiet:
    """A listener to whom nothing matters."""

    def on_share(self, done: int, total: int) -> None:
        assert 0 < done <= total


def _generation(frames: int, told: int) -> Generation:
    return Generation(64, 64, told, told - 5, iter([picture(i) for i in range(frames)]), "none")


@pytest.mark.parametrize("locked", [False, True])
def test_head_and_tail_are_cut(locked: bool) -> None:
    shown: list[Picture] = []
    measured: list[Picture] = []
    colours = ClipColours([picture(9)], 1, 0.0) if locked else None
    listener: Any = Quiet()
    kept = write_frames(_generation(17, 17), shown.append, listener, measured.append, tail=4, colours=colours)
    assert [int(frame[0, 0, 0]) for frame in shown] == list(range(5, 13))
    assert len(measured) == 13
    assert (kept.total, int(kept.first[0, 0, 0]), int(kept.last[0, 0, 0])) == (8, 5, 12)
    assert kept.end is not None
    assert int(kept.end[0, 0, 0]) == 16


@pytest.mark.parametrize("frames", [16, 18])
def test_a_wrong_number_of_frames_is_the_engines_fault(frames: int) -> None:
    listener: Any = Quiet()
    ignore: Callable[[Picture], None] = lambda _: None  # noqa: E731 - typed
    with pytest.raises(BadOutput, match=f"decoded {frames} frames instead of 17"):
        write_frames(_generation(frames, 17), ignore, listener, tail=4)
