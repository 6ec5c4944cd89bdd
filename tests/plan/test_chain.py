"""What each clip of a chain is made from: its own values, the task's, and the clip before."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from headless.errors import BadParams
from headless.params import parse
from headless.plan import make_plan, segment_seed
from headless.planning.chain import ChainPlan, frames_of_latents
from headless.planning.chain_plan import make_chain
from models.registry import Registry
from tests.plan.conftest import ChainPlanner
from wan2gp_patch.frames import Source

T = TypeVar("T")
S, E, A, B = "https://h/start.png", "https://h/end.png", "https://h/anchor.png", "https://h/b.png"
V, TASK = "https://h/clip.mp4", "6f9619ff-8b86-d011-b42d-00c04fc964ff"
SVI: dict[str, Any] = {"model": "wan_tiny_i2v_svi2pro", "start_image": S}


def adjusted(chain: ChainPlan) -> dict[str, tuple[object, object]]:
    return {entry.field: (entry.requested, entry.used) for entry in chain.adjustments}


def fields(chain: ChainPlan) -> list[dict[str, str]]:
    return [dict(clip.fields) for clip in chain.clips]


def sources(chain: ChainPlan) -> list[Source]:
    return [clip.continues for clip in chain.clips]


def outcome(plan: Callable[[], T]) -> T | str:
    """What is planned, or the message with which it is refused."""
    try:
        return plan()
    except BadParams as refused:
        return refused.message


SINGLE: dict[str, Any] = {
    "num_frames": st.none() | st.integers(1, 170),
    "svi2pro": st.none() | st.booleans(),
    "start_image": st.none() | st.just(S),
    "end_image": st.none() | st.just(E),
    "anchor_image": st.none() | st.just(A),
    "continue_from": st.none() | st.sampled_from([TASK, V]),
    "end_frame_mode": st.none() | st.sampled_from(["in_chunk", "extra_latent", "slot", "repeat_4"]),
    "motion_latent_count": st.none() | st.integers(0, 3),
    "width": st.none() | st.integers(64, 200),
    "seed": st.none() | st.just(9),
    "strict": st.booleans(),
    "noise_augmentation": st.sampled_from([0.0, 0.5]),
}


@settings(deadline=None, suppress_health_check=list(HealthCheck), max_examples=120)
@given(
    given_fields=st.fixed_dictionaries(SINGLE),
    image=st.none() | st.tuples(st.integers(64, 900), st.integers(64, 900)),
)
def test_a_task_of_one_clip_is_planned_as_ever(
    registry: Registry, given_fields: dict[str, Any], image: tuple[int, int] | None
) -> None:
    given_fields = {name: value for name, value in given_fields.items() if value is not None}
    params = parse("generate", {"prompt": "a", "model": "wan_tiny_i2v", **given_fields})
    definition, sizes = (
        registry.definition(params.model),
        {"start_image": image} if image and params.start_image else {},
    )
    alone = outcome(lambda: make_plan(params, definition, seed_source=lambda: 7, image_sizes=sizes))
    made = outcome(lambda: make_chain(params, definition, seed_source=lambda: 7, image_sizes=sizes))
    if isinstance(alone, str) or isinstance(made, str):
        # Of two reasons, one of them strict, either may come first.
        assert made == alone or (params.strict and isinstance(made, str) and isinstance(alone, str))
        return
    (clip,) = made.clips
    assert clip.plan == alone == made.first
    assert made.adjustments == alone.adjustments
    assert made.references == alone.references == {name: given_fields[name] for name in clip.fields}
    assert (clip.head_frames, clip.shown_frames) == (alone.continuation.head_drop, alone.frames_out)
    assert (clip.tail_frames, clip.tail_latents, clip.first_frame, clip.alternatives) == (0, 0, 0, ())
    assert (made.frames_out, made.seed, made.seed_chosen) == (alone.frames_out, alone.seed, alone.seed_chosen)
    assert (made.loop, made.extends, made.colour_lock) == (False, False, "off")


def test_the_arithmetic_of_the_conditioning_page(chain: ChainPlanner) -> None:
    made = chain(**SVI, num_frames=81, segments=[{}] * 4)
    assert made.frames_out == 81 + 3 * 76
    assert [clip.first_frame for clip in made.clips] == [0, 81, 157, 233]
    assert chain(**SVI, num_frames=81, segments=[{}] * 4, continuation="last_frame").frames_out == 81 + 3 * 80
    plain = chain(start_image=S, num_frames=81, segments=[{}] * 4, continuation="pixels", overlap=8)
    assert plain.frames_out == 81 + 3 * (81 - 13)


def test_a_segment_has_its_own_values_over_the_tasks(chain: ChainPlanner) -> None:
    segments = [
        {"prompt": "one", "negative_prompt": "dark", "num_frames": 33, "loras": {"a.safetensors": 0.5}},
        {"seed": 11, "svi2pro": False, "end_image": E, "end_frame_mode": "in_chunk"},
        {},
    ]
    made = chain(**SVI, prompt="all", negative_prompt="ugly", num_frames=17, seed=5, segments=segments)
    one, two, three = (clip.plan for clip in made.clips)
    assert (one.prompt, two.prompt, three.prompt) == ("one", "all", "all")
    assert (one.negative_prompt, two.negative_prompt) == ("dark", "ugly")
    assert (one.num_frames, two.num_frames) == (33, 17)
    of_the_model = [f"wan_tiny_svi2pro_{noise}_noise.safetensors" for noise in ("high", "low")]
    assert [lora.name for lora in one.loras] == [*of_the_model, "a.safetensors"]
    assert [lora.name for lora in two.loras] == of_the_model
    assert (one.seed, two.seed, three.seed) == (5, 11, segment_seed(5, 2))
    assert (one.svi2pro, two.svi2pro, three.svi2pro) == (True, False, True)
    assert two.end_frame_mode == "in_chunk"
    assert sources(made) == [Source.NOTHING, Source.LAST_FRAME, Source.LATENTS]
    assert made.adjustments == ()
    assert made.references == {"start_image": S, "segments[1].end_image": E}


def test_seeds_differ_and_say_who_chose_them(chain: ChainPlanner) -> None:
    made = chain(**SVI, segments=[{}, {"seed": 3}, {}])
    assert [clip.seed for clip in made.clips] == [4242, 3, segment_seed(4242, 2)]
    assert [clip.plan.seed_chosen for clip in made.clips] == [True, False, True]
    assert (made.seed, made.seed_chosen) == (4242, True)
    again = made.clips[2].plan.with_seed(99, "why not")
    assert (again.seed, again.segments[0].seed) == (99, 99)


@pytest.mark.parametrize(
    ("given_fields", "continues", "handed"),
    [
        (SVI, "latents", Source.LATENTS),
        (SVI | {"continuation": "latents"}, "latents", Source.LATENTS),
        (SVI | {"continuation": "pixels"}, "latents", Source.PIXELS),
        (SVI | {"continuation": "last_frame"}, "last_frame", Source.LAST_FRAME),
        ({"start_image": S}, "last_frame", Source.LAST_FRAME),
        ({"start_image": S, "continuation": "pixels"}, "pixels", Source.PIXELS),
    ],
)
def test_what_is_handed_over(
    chain: ChainPlanner, given_fields: dict[str, Any], continues: str, handed: Source
) -> None:
    made = chain(**given_fields, segments=[{}, {}])
    assert sources(made) == [Source.NOTHING, handed]
    assert made.clips[1].plan.continuation.source.value == continues
    assert made.adjustments == ()


@pytest.mark.parametrize(("overlap", "motion"), [(0, 0), (4, 1), (8, 2), (11, 2)])
def test_an_overlap_is_a_number_of_latents(chain: ChainPlanner, overlap: int, motion: int) -> None:
    made = chain(**SVI, num_frames=81, segments=[{}, {}], overlap=overlap)
    assert made.clips[1].plan.motion_latent_count == motion
    assert made.clips[1].head_frames == 1 + 4 * motion
    assert adjusted(made) == ({"overlap": (11, 8)} if overlap == 11 else {})


def test_an_overlap_acts_on_a_video_that_is_continued(chain: ChainPlanner) -> None:
    assert chain(num_frames=33, continue_from=V, overlap=8).clips[0].head_frames == 13
    assert chain(**SVI, num_frames=33, continue_from=V, overlap=8).first.motion_latent_count == 2


def test_images_are_travelled_between(chain: ChainPlanner) -> None:
    made = chain(model="wan_tiny_i2v_svi2pro", images=[S, A, E], prompts=["there", "back"], prompt=None)
    assert fields(made) == [
        {"start_image": "images[0]", "end_image": "images[1]"},
        {"start_image": "images[1]", "end_image": "images[2]"},
    ]
    assert [clip.plan.prompt for clip in made.clips] == ["there", "back"]
    assert made.references == {"images[0]": S, "images[1]": A, "images[2]": E}
    assert made.adjustments == ()


def test_images_without_svi_begin_where_the_clip_before_ends(chain: ChainPlanner) -> None:
    made = chain(images=[S, A, E], prompt="all")
    assert fields(made) == [
        {"start_image": "images[0]", "end_image": "images[1]"},
        {"end_image": "images[2]"},
    ]
    assert made.adjustments == ()


def test_one_anchor_for_all_images(chain: ChainPlanner) -> None:
    made = chain(model="wan_tiny_i2v_svi2pro", images=[S, A, E], anchor_image=B)
    assert [clip.fields["anchor_image"] for clip in made.clips] == ["anchor_image"] * 2
    assert adjusted(made) == {"images[0]": (S, None)}


def test_an_anchor_per_segment(chain: ChainPlanner) -> None:
    made = chain(**SVI, segments=[{}, {"anchor_image": A}, {}])
    assert fields(made) == [
        {"start_image": "start_image"},
        {"anchor_image": "segments[1].anchor_image"},
        {"start_image": "start_image"},
    ]
    assert made.adjustments == ()


def test_the_start_is_the_first_segments_and_the_end_the_last_ones(chain: ChainPlanner) -> None:
    made = chain(start_image=S, end_image=E, segments=[{}, {}, {}])
    assert fields(made) == [{"start_image": "start_image"}, {}, {"end_image": "end_image"}]
    continued = chain(**SVI, continue_from=TASK, segments=[{}, {}])
    assert continued.clips[0].fields["continue_from"] == "continue_from"
    assert "continue_from" not in continued.clips[1].fields
    assert sources(continued) == [Source.LATENTS, Source.LATENTS]


def test_a_start_image_that_the_segment_before_ends_with(chain: ChainPlanner) -> None:
    signed = f"{A}?token=1"
    segments = [{"end_image": A}, {"start_image": signed}]
    assert fields(chain(**SVI, segments=segments))[1] == {"start_image": "segments[1].start_image"}
    assert fields(chain(start_image=S, segments=segments))[1] == {}


def test_seconds_make_as_few_clips_as_can_be(chain: ChainPlanner) -> None:
    made = chain(**SVI, num_frames=81, seconds=30)
    assert [clip.plan.num_frames for clip in made.clips] == [73] * 7
    assert made.frames_out == 481
    assert adjusted(made) == {"seconds": (30, 30.0625)}
    assert len(chain(**SVI, num_frames=81, seconds=5).clips) == 1
    assert len(chain(**SVI, num_frames=81, seconds=6).clips) == 2
    exact = chain(**SVI, num_frames=81, seconds=481 / 16, strict=True)
    assert exact.adjustments == ()


def test_seconds_keep_room_for_the_tail(chain: ChainPlanner) -> None:
    made = chain(**SVI, settings={"num_frames": 81, "max_frames": 81}, seconds=30, end_tail_latents=2)
    assert max(clip.plan.num_frames for clip in made.clips) == 81
    assert made.frames_out == 481


def test_seconds_of_a_segment(chain: ChainPlanner) -> None:
    made = chain(**SVI, segments=[{"seconds": 2}, {"seconds": 1.5}, {"seconds": 0.1}])
    assert [clip.shown_frames for clip in made.clips] == [33, 24, 4]
    assert adjusted(made) == {"segments[0].seconds": (2, 2.0625), "segments[2].seconds": (0.1, 0.25)}


@pytest.mark.parametrize(
    ("mode", "cut"), [("extra_latent", 0), ("in_chunk", 1), ("slot", 1), ("repeat_4", 1)]
)
def test_a_loop_shows_its_first_picture_once(chain: ChainPlanner, mode: str, cut: int) -> None:
    made = chain(start_image=S, num_frames=33, segments=[{}, {}], loop=True, end_frame_mode=mode)
    assert made.loop
    assert fields(made) == [{"start_image": "start_image"}, {"end_image": "start_image"}]
    assert (made.clips[1].tail_frames, made.clips[1].shown_frames, made.frames_out) == (
        cut,
        32 - cut,
        65 - cut,
    )
    assert made.adjustments == ()


def test_the_first_picture_of_a_loop(chain: ChainPlanner) -> None:
    by_anchor = chain(**SVI, anchor_image=A, num_frames=33, segments=[{}, {}], loop=True)
    assert by_anchor.clips[1].fields["end_image"] == "anchor_image"
    assert by_anchor.clips[1].plan.references["end_image"] == A
    said = chain(start_image=S, num_frames=33, segments=[{}, {"end_image": S}], loop=True)
    assert said.clips[1].plan.references["end_image"] == S
    assert said.adjustments == ()
    assert said.clips[1].fields["end_image"] == "segments[1].end_image"


def test_a_loop_ends_with_what_was_given_for_its_end(chain: ChainPlanner) -> None:
    """The same picture under another signature: nothing is put in its place."""
    signed = f"{S}?token=2"
    made = chain(start_image=f"{S}?token=1", num_frames=33, segments=[{}, {}], loop=True, end_image=signed)
    assert fields(made) == [{"start_image": "start_image"}, {"end_image": "end_image"}]
    assert made.clips[1].plan.references["end_image"] == signed
    images = chain(images=[f"{S}?token=1", A, signed], num_frames=33, loop=True)
    assert [clip.fields["end_image"] for clip in images.clips] == ["images[1]", "images[2]"]


def test_images_in_a_loop_travel_back(chain: ChainPlanner) -> None:
    made = chain(images=[S, A, E], num_frames=33, loop=True)
    assert [clip.fields["end_image"] for clip in made.clips] == ["images[1]", "images[2]", "images[0]"]
    closed = chain(images=[S, A, S], num_frames=33, loop=True)
    assert (len(closed.clips), closed.frames_out) == (2, 33 + 32)


def test_a_loop_in_seconds_has_two_clips(chain: ChainPlanner) -> None:
    made = chain(start_image=S, num_frames=81, seconds=2, loop=True, end_frame_mode="in_chunk")
    assert (len(made.clips), made.frames_out, made.adjustments) == (2, 32, ())


def test_a_tail_is_made_and_cut(chain: ChainPlanner) -> None:
    made = chain(**SVI, num_frames=33, segments=[{}, {"end_image": E}], end_tail_latents=2)
    for clip in made.clips:
        assert (clip.plan.num_frames, clip.tail_latents, clip.tail_frames) == (41, 2, frames_of_latents(2))
    assert [clip.shown_frames for clip in made.clips] == [33, 28]
    (entry,) = made.adjustments
    assert (entry.field, entry.used) == ("segments[1].end_image", "8 frames after the last")
    assert made.clips[1].plan.adjustments[0].field == "end_image"


def test_the_last_segment_of_a_loop_has_no_tail(chain: ChainPlanner) -> None:
    made = chain(
        start_image=S, num_frames=33, segments=[{}, {}], loop=True, end_tail_latents=1, end_frame_mode="slot"
    )
    assert [clip.tail_latents for clip in made.clips] == [1, 0]
    assert [clip.tail_frames for clip in made.clips] == [4, 1]
    assert adjusted(made) == {"end_tail_latents": (1, 0)}
    assert made.adjustments[0].why.endswith("(segment 1)")


@pytest.mark.parametrize(
    ("given_fields", "source", "handed", "head"),
    [
        (SVI | {"extend_from": TASK}, "latents", Source.LATENTS, 5),
        (SVI | {"extend_from": V}, "latents", Source.PIXELS, 5),
        (SVI | {"extend_from": TASK, "continuation": "pixels"}, "latents", Source.PIXELS, 5),
        (SVI | {"extend_from": TASK, "continuation": "last_frame"}, "last_frame", Source.LAST_FRAME, 1),
        ({"extend_from": V}, "last_frame", Source.LAST_FRAME, 1),
        ({"extend_from": TASK}, "last_frame", Source.LAST_FRAME, 1),
        ({"extend_from": V, "continuation": "pixels", "overlap": 0}, "pixels", Source.PIXELS, 5),
    ],
)
def test_an_extension_goes_on_from_the_earlier_video(
    chain: ChainPlanner, given_fields: dict[str, Any], source: str, handed: Source, head: int
) -> None:
    made = chain(**given_fields, num_frames=33, segments=[{}, {}])
    assert made.extends
    first = made.clips[0]
    assert (first.continues, first.plan.continuation.source.value, first.head_frames) == (
        handed,
        source,
        head,
    )
    assert first.fields["continue_from"] == "extend_from"
    assert made.references["extend_from"] == given_fields["extend_from"]
    assert first.first_frame == 0
    assert made.frames_out == 2 * (33 - head)


def test_an_extension_has_the_size_of_what_it_extends(chain: ChainPlanner) -> None:
    made = chain(**SVI, extend_from=V, sizes={"extend_from": (832, 480), "start_image": (100, 100)})
    assert (made.first.width, made.first.height) == (832, 480)
    same = chain(**SVI, extend_from=V, width=832, height=480, sizes={"extend_from": (832, 480)})
    assert same.first.width == 832


def test_the_size_is_that_of_the_first_segment(chain: ChainPlanner) -> None:
    sizes = {"images[0]": (200, 100), "images[1]": (100, 300)}
    made = chain(images=[S, A, E], sizes=sizes)
    assert {(clip.plan.width, clip.plan.height) for clip in made.clips} == {(128, 64)}
    snapped = chain(images=[S, A, E], width=100, height=64)
    assert adjusted(snapped) == {"width": (100, 96)}


def test_a_reroll_makes_alternatives(chain: ChainPlanner) -> None:
    made = chain(**SVI, segments=[{}, {}], reroll={"1": [11, 12]})
    assert [clip.alternatives for clip in made.clips] == [(), (11, 12)]


@pytest.mark.parametrize(
    ("given_fields", "told"),
    [
        ({"num_frames": 82}, {"num_frames": (82, 81)}),
        ({"segments": [{"num_frames": 82}, {}]}, {"segments[0].num_frames": (82, 81)}),
        ({"anchor_image": A}, {"start_image": (S, None)}),
        ({"motion_latent_count": 1}, {}),
        ({"motion_latent_count": 1, "continuation": "last_frame"}, {"motion_latent_count": (1, None)}),
        ({"end_frame_mode": "slot", "segments": [{"end_image": E}, {}]}, {}),
        ({"end_frame_mode": "slot"}, {"end_frame_mode": ("slot", None)}),
        ({"segments": [{"end_frame_mode": "slot"}, {}]}, {"segments[0].end_frame_mode": ("slot", None)}),
        ({"continuation": "last_frame", "overlap": 5}, {"overlap": (5, None)}),
        ({"segments": [{}], "overlap": 5}, {"overlap": (5, None)}),
        ({"segments": [{}], "continuation": "pixels"}, {"continuation": ("pixels", None)}),
        ({"color_lock_strength": 0.5}, {"color_lock_strength": (0.5, None)}),
        ({"segments": [{}], "color_lock": "previous"}, {"color_lock": ("previous", "off")}),
        ({"noise_augmentation": 0.5}, {"noise_augmentation": (0.5, 0.0)}),
    ],
)
def test_what_is_adjusted_is_told_once(
    chain: ChainPlanner, given_fields: dict[str, Any], told: dict[str, Any]
) -> None:
    request = {**SVI, "segments": [{}, {}], **given_fields}
    made = chain(**request)
    assert adjusted(made) == told
    assert len(made.adjustments) == len(told)
    assert all("(segment" not in entry.why for entry in made.adjustments)
    if told:
        with pytest.raises(BadParams, match="strict allows no adjustment"):
            chain(**request, strict=True)
    else:
        assert chain(**request, strict=True) == made


def test_what_acts_in_some_segments_alone_is_told_with_the_others(chain: ChainPlanner) -> None:
    made = chain(
        **SVI, anchor_image=A, noise_augmentation=0.5, segments=[{}, {"svi2pro": False}, {"svi2pro": False}]
    )
    whys = {entry.field: entry.why for entry in made.adjustments}
    assert whys["anchor_image"] == "only svi2pro looks at an anchor (segments 1 and 2)"
    assert whys["noise_augmentation"] == "it does nothing with svi2pro (segment 0)"


def test_an_anchor_that_cannot_begin_the_clip_is_told(chain: ChainPlanner) -> None:
    made = chain(**SVI, anchor_image=A, continuation="last_frame", segments=[{}, {}])
    whys = {entry.field: entry.why for entry in made.adjustments}
    assert whys["anchor_image"] == "the clip begins with the last frame of the one before (segment 1)"
    assert "anchor_image" not in made.clips[1].fields


def test_a_colour_lock(chain: ChainPlanner) -> None:
    made = chain(**SVI, segments=[{}, {}], color_lock="previous", color_lock_strength=0.25)
    assert (made.colour_lock, made.colour_lock_strength) == ("previous", 0.25)
    assert chain(continue_from=V, color_lock="previous").colour_lock == "previous"
    assert chain(images=[S, E], color_lock="anchor").colour_lock == "anchor"


def test_planning_a_chain_is_pure(chain: ChainPlanner) -> None:
    request: dict[str, Any] = {**SVI, "segments": [{"seconds": 3}, {"end_image": E}], "loop": False}
    assert chain(**request) == chain(**request)
