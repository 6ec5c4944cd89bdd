"""Every value of a plan comes from the request, else from the model, else from the product."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from headless.errors import BadParams
from headless.params import parse
from headless.plan import make_plan, segment_seed
from models.definition import Definition
from models.registry import Registry
from tests.plan.conftest import Planner

START, END = "https://h/start.png", "https://h/end.png"


def adjusted(plan: Any) -> dict[str, tuple[object, object]]:
    return {entry.field: (entry.requested, entry.used) for entry in plan.adjustments}


def test_the_models_settings_are_the_defaults(plan: Planner) -> None:
    made = plan()
    assert (made.width, made.height, made.num_frames, made.fps, made.steps) == (96, 96, 17, 16, 8)
    assert (made.guidance_scale, made.guidance_scale_2, made.flow_shift, made.solver) == (
        1.0,
        1.0,
        5.0,
        "unipc",
    )
    assert made.adjustments == ()
    assert made.output_checks is False
    assert made.frames_out == 17
    assert made.duration_seconds == 17 / 16


def test_the_request_wins(plan: Planner) -> None:
    made = plan(
        num_frames=33,
        width=160,
        height=96,
        fps=24,
        steps=2,
        guidance_scale=3,
        guidance_scale_2=2,
        flow_shift=8,
        negative_prompt="",
        motion_latent_count=1,
        continue_from="6f9619ff-8b86-d011-b42d-00c04fc964ff",
        start_image=START,
        svi2pro=True,
    )
    assert (made.width, made.height, made.num_frames, made.fps, made.steps) == (160, 96, 33, 24, 2)
    assert (made.phase_guidance, made.flow_shift) == ((3.0, 2.0), 8.0)
    assert made.adjustments == ()


def test_a_bare_definition_takes_the_products_defaults() -> None:
    definition = Definition("m", "M", "i2v", {}, {})
    made = make_plan(parse("generate", {"prompt": "x", "model": "m"}), definition, seed_source=lambda: 1)
    assert (made.width, made.height, made.num_frames, made.fps, made.steps) == (832, 480, 81, 16, 30)
    assert (made.phase_guidance, made.flow_shift, made.solver) == ((5.0,), 5.0, "unipc")
    assert made.negative_prompt == ""
    assert made.output_checks is True
    assert (made.overlap, made.motion_latent_count) == (4, 1)


def test_the_models_negative_prompt_gives_way_to_an_empty_one(plan: Planner) -> None:
    assert plan(model="i2v_2_2").negative_prompt.startswith("Overexposed")
    assert plan(model="i2v_2_2", negative_prompt="").negative_prompt == ""


@pytest.mark.parametrize(("asked", "used"), [(82, 81), (81, 81), (84, 81), (85, 85), (3, 1), (1, 1)])
def test_frames_are_rounded_down_to_4k_plus_1(plan: Planner, asked: int, used: int) -> None:
    made = plan(num_frames=asked)
    assert made.num_frames == used == made.segments[0].num_frames == made.frames_out
    assert adjusted(made) == ({} if asked == used else {"num_frames": (asked, used)})


def test_strict_refuses_every_adjustment_by_name(plan: Planner) -> None:
    with pytest.raises(BadParams) as caught:
        plan(num_frames=82, width=100, height=64, strict=True)
    message = caught.value.message
    assert "num_frames is 82 and would become 81: a clip has 4k+1 frames." in message
    assert "width is 100 and would become 96" in message
    assert "leave strict out" in message


def test_strict_lets_a_task_pass_that_needs_no_adjustment(plan: Planner) -> None:
    assert plan(num_frames=81, width=96, height=64, strict=True).seed == 4242


def test_a_clip_longer_than_the_model_can_is_refused(plan: Planner) -> None:
    assert plan(num_frames=164).num_frames == 161
    with pytest.raises(
        BadParams, match=r"num_frames is 165: model wan_tiny_i2v makes clips of 1 to 161 frames\."
    ):
        plan(num_frames=165)


@pytest.mark.parametrize("frames", [1, 4])
def test_a_clip_with_an_end_has_at_least_five_frames(plan: Planner, frames: int) -> None:
    with pytest.raises(BadParams, match=f"num_frames is {frames}: with an end_image a clip has at least 5"):
        plan(num_frames=frames, start_image=START, end_image=END)
    assert plan(num_frames=5, start_image=START, end_image=END).num_frames == 5


def test_a_seed_is_chosen_only_where_none_is_given(registry: Registry, no_seed: Callable[[], int]) -> None:
    params = parse("generate", {"prompt": "x", "model": "wan_tiny_i2v", "seed": 0, "strict": True})
    made = make_plan(params, registry.definition(params.model), seed_source=no_seed)
    assert (made.seed, made.seed_chosen, made.segments[0].seed) == (0, False, 0)


def test_a_chosen_seed_is_reported_and_is_no_adjustment(plan: Planner) -> None:
    made = plan(strict=True)
    assert (made.seed, made.seed_chosen, made.segments[0].seed) == (4242, True, 4242)


def test_seeds_of_segments_are_fixed_for_ever() -> None:
    """A change of these numbers would change every chain that is generated again."""
    assert [segment_seed(7, index) for index in range(3)] == [7, 101611458, 700421843]


@settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.integers(0, 2**32 - 1), st.integers(1, 500))
def test_segment_seeds_are_seeds_and_differ(seed: int, index: int) -> None:
    derived = segment_seed(seed, index)
    assert 0 <= derived < 2**32
    assert derived != segment_seed(seed, index + 1)


def test_planning_is_pure(plan: Planner) -> None:
    fields: dict[str, Any] = {"start_image": START, "end_image": END, "svi2pro": True, "num_frames": 82}
    assert plan(**fields) == plan(**fields)


@settings(deadline=None, suppress_health_check=list(HealthCheck))
@given(
    frames=st.none() | st.integers(1, 161),
    width=st.none() | st.integers(64, 1024),
    height=st.none() | st.integers(64, 1024),
    image=st.none() | st.tuples(st.integers(1, 5000), st.integers(1, 5000)),
    svi=st.booleans(),
    end=st.booleans(),
    mode=st.none() | st.sampled_from(["in_chunk", "extra_latent", "slot", "repeat_4"]),
    strict=st.booleans(),
)
def test_a_plan_is_always_legal_or_refused(
    plan: Planner,
    frames: int | None,
    width: int | None,
    height: int | None,
    image: tuple[int, int] | None,
    svi: bool,
    end: bool,
    mode: str | None,
    strict: bool,
) -> None:
    fields: dict[str, Any] = {
        "num_frames": frames,
        "width": width,
        "height": height,
        "svi2pro": svi,
        "end_frame_mode": mode,
    }
    images: dict[str, Any] = {"start_image": START} | ({"end_image": END} if end else {})
    try:
        made = plan(sizes={"start_image": image} if image else None, strict=strict, **fields, **images)
    except BadParams:
        return
    assert made.width % 16 == 0 == made.height % 16
    assert 64 <= made.width <= 2048
    assert 64 <= made.height <= 2048
    assert made.num_frames % 4 == 1
    assert made.segments[0].latents == (made.num_frames - 1) // 4 + 1 + (
        end and made.end_frame_mode == "extra_latent"
    )
    changed = {
        name for name in ("num_frames", "width", "height") if fields[name] not in (None, getattr(made, name))
    }
    assert changed == {entry.field for entry in made.adjustments} - {"end_frame_mode"}
    assert not (strict and made.adjustments)
