"""Which inputs act, in which end-frame mode, and what cannot be combined."""

from __future__ import annotations

from typing import Any

import pytest

from headless.errors import BadParams
from headless.plan import Plan
from tests.plan.conftest import Planner
from wan2gp_patch.frames import Source

S, E, A = "https://h/start.png", "https://h/end.png", "https://h/anchor.png"
V, TASK = "https://h/clip.mp4", "6f9619ff-8b86-d011-b42d-00c04fc964ff"
SVI: dict[str, Any] = {"svi2pro": True, "start_image": S}


def adjusted(plan: Plan) -> dict[str, tuple[object, object]]:
    return {entry.field: (entry.requested, entry.used) for entry in plan.adjustments}


@pytest.mark.parametrize(
    ("model", "asked", "effective"),
    [
        ("wan_tiny_i2v", None, False),
        ("wan_tiny_i2v", True, True),
        ("wan_tiny_i2v", False, False),
        ("wan_tiny_i2v_svi2pro", None, True),
        ("wan_tiny_i2v_svi2pro", False, False),
    ],
)
def test_svi2pro_is_the_requests_or_the_models(
    plan: Planner, model: str, asked: bool | None, effective: bool
) -> None:
    assert plan(model=model, svi2pro=asked, start_image=S).svi2pro is effective


@pytest.mark.parametrize("fields", [{}, {"end_image": E}, {"continue_from": TASK}])
def test_svi2pro_needs_a_picture_of_how_things_look(plan: Planner, fields: dict[str, Any]) -> None:
    with pytest.raises(BadParams, match=r"svi2pro is true.*give start_image or anchor_image"):
        plan(svi2pro=True, **fields)
    with pytest.raises(BadParams, match="model wan_tiny_i2v_svi2pro sets svi2pro"):
        plan(model="wan_tiny_i2v_svi2pro", **fields)


@pytest.mark.parametrize(
    ("fields", "model_def", "mode"),
    [
        ({"start_image": S, "end_image": E}, {}, "extra_latent"),
        ({"start_image": S, "end_image": E, "svi2pro": True}, {}, "extra_latent"),
        ({"start_image": S, "end_image": E}, {"end_frame_mode": "in_chunk"}, "in_chunk"),
        (
            {"start_image": S, "end_image": E, "end_frame_mode": "repeat_4"},
            {"end_frame_mode": "slot"},
            "repeat_4",
        ),
        ({"start_image": S, "end_image": E, "end_frame_mode": "slot"}, {}, "slot"),
        ({"end_image": E}, {}, "in_chunk"),
        ({"end_image": E}, {"end_frame_mode": "repeat_4"}, "in_chunk"),
        ({"end_image": E, "continue_from": V}, {}, "extra_latent"),
        ({"anchor_image": A, "end_image": E, "svi2pro": True}, {}, "extra_latent"),
    ],
)
def test_end_frame_modes(plan: Planner, fields: dict[str, Any], model_def: dict[str, Any], mode: str) -> None:
    made = plan(model_def=model_def, **fields)
    assert made.end_frame_mode == mode
    assert "end_frame_mode" not in adjusted(made)
    assert made.segments[0].latents == (6 if mode == "extra_latent" else 5)


def test_the_first_last_frame_model_works_in_the_chunk(plan: Planner) -> None:
    assert plan(model="flf2v_720p", start_image=S, end_image=E).end_frame_mode == "in_chunk"


@pytest.mark.parametrize("mode", ["extra_latent", "repeat_4"])
def test_an_end_without_a_start_falls_back_and_says_so(plan: Planner, mode: str) -> None:
    made = plan(end_image=E, end_frame_mode=mode)
    assert made.end_frame_mode == "in_chunk"
    assert adjusted(made) == {"end_frame_mode": (mode, "in_chunk")}
    with pytest.raises(BadParams, match='end_frame_mode is "repeat_4" and would become "in_chunk"'):
        plan(end_image=E, end_frame_mode="repeat_4", strict=True)


def test_slot_without_a_start_is_refused(plan: Planner) -> None:
    with pytest.raises(BadParams, match='"slot", which puts the end behind the latent of a start'):
        plan(end_image=E, end_frame_mode="slot")


def test_a_mode_without_an_end_is_reported(plan: Planner) -> None:
    made = plan(start_image=S, end_frame_mode="repeat_4")
    assert adjusted(made) == {"end_frame_mode": ("repeat_4", None)}
    assert made.segments[0].latents == 5


@pytest.mark.parametrize("mode", ["in_chunk", "repeat_4"])
def test_modes_in_pixels_do_not_go_with_a_tasks_latents(plan: Planner, mode: str) -> None:
    fields = {**SVI, "continue_from": TASK, "end_image": E}
    with pytest.raises(BadParams, match=f'end_frame_mode is "{mode}", which works in pixels'):
        plan(end_frame_mode=mode, **fields)
    with pytest.raises(BadParams, match="works in pixels"):
        plan(model_def={"end_frame_mode": mode}, **fields)
    assert plan(end_frame_mode=mode, **{**fields, "continue_from": V}).end_frame_mode == mode


def test_only_svi_continues_a_task(plan: Planner) -> None:
    with pytest.raises(BadParams, match=f"continue_from is the task {TASK}"):
        plan(continue_from=TASK, start_image=S)


@pytest.mark.parametrize(
    ("fields", "source", "frames_out", "overlap"),
    [
        ({"start_image": S}, Source.NOTHING, 17, 4),
        ({**SVI}, Source.NOTHING, 17, 4),
        ({**SVI, "continue_from": TASK}, Source.LATENTS, 12, 4),
        ({**SVI, "continue_from": TASK, "motion_latent_count": 0}, Source.LATENTS, 16, 4),
        ({**SVI, "continue_from": TASK, "motion_latent_count": 2}, Source.LATENTS, 8, 4),
        ({**SVI, "continue_from": TASK, "end_image": E}, Source.LATENTS, 12, 4),
        ({**SVI, "continue_from": V}, Source.LATENTS, 12, 4),
        ({**SVI, "continue_from": V, "motion_latent_count": 2}, Source.LATENTS, 8, 8),
        ({**SVI, "continue_from": V, "end_image": E}, Source.PIXELS, 8, 4),
        ({**SVI, "continue_from": V, "end_image": E, "end_frame_mode": "slot"}, Source.LATENTS, 12, 4),
        ({"continue_from": V}, Source.PIXELS, 8, 4),
    ],
)
def test_continuations(
    plan: Planner, fields: dict[str, Any], source: Source, frames_out: int, overlap: int
) -> None:
    made = plan(**fields)
    assert (made.continuation.source, made.frames_out, made.overlap) == (source, frames_out, overlap)
    assert made.adjustments == ()


def test_a_continuation_of_81_frames_adds_76(plan: Planner) -> None:
    assert plan(num_frames=81, continue_from=TASK, **SVI).frames_out == 76


def test_a_continuation_that_adds_nothing_is_refused(plan: Planner) -> None:
    with pytest.raises(BadParams, match="num_frames is 9: a clip of 9 frames adds nothing"):
        plan(num_frames=9, continue_from=V)


@pytest.mark.parametrize(
    ("fields", "why"),
    [
        ({"start_image": S}, "it continues nothing"),
        ({"continue_from": V}, "the clip continues from frames"),
        ({**SVI, "continue_from": V, "end_image": E}, "the clip continues from frames"),
    ],
)
def test_motion_latents_that_nobody_sees_are_reported(
    plan: Planner, fields: dict[str, Any], why: str
) -> None:
    made = plan(motion_latent_count=2, **fields)
    (entry,) = made.adjustments
    assert entry.as_json() == {"field": "motion_latent_count", "requested": 2, "used": None, "why": why}


@pytest.mark.parametrize(
    ("fields", "idle"),
    [
        ({**SVI, "pad_video": V, "known_mask": A}, {"pad_video": V, "known_mask": A}),
        ({**SVI, "anchor_image": A}, {"start_image": S}),
        ({**SVI, "anchor_image": S}, {}),
        ({"anchor_image": A, "svi2pro": True}, {}),
        ({"start_image": S, "anchor_image": A}, {"anchor_image": A}),
        ({"start_image": S, "continue_from": V}, {"start_image": S}),
        ({"start_image": S, "pad_video": V, "known_mask": A}, {}),
    ],
)
def test_inputs_that_do_nothing_are_reported_and_left_out(
    plan: Planner, fields: dict[str, Any], idle: dict[str, str]
) -> None:
    made = plan(**fields)
    assert adjusted(made) == {name: (reference, None) for name, reference in idle.items()}
    given = {name: value for name, value in fields.items() if isinstance(value, str)}
    assert dict(made.references) == {name: value for name, value in given.items() if name not in idle}


def test_an_idle_inputs_url_is_reported_without_its_token(plan: Planner) -> None:
    made = plan(start_image=S, anchor_image=f"{A}?token=SECRET")
    assert "SECRET" not in str(made.adjustments)


def test_strengths_do_nothing_with_svi(plan: Planner) -> None:
    options: dict[str, Any] = {
        "start_latent_strength": 0.5,
        "end_latent_strength": 2.0,
        "augment_empty_frames": 0.1,
        "noise_augmentation": 0.2,
    }
    plain = plan(start_image=S, **options)
    assert {name: getattr(plain, name) for name in options} == options
    assert plain.adjustments == ()
    svi = plan(**SVI, **options)
    assert adjusted(svi) == {
        "start_latent_strength": (0.5, 1.0),
        "end_latent_strength": (2.0, 1.0),
        "augment_empty_frames": (0.1, 0.0),
        "noise_augmentation": (0.2, 0.0),
    }
    assert (svi.start_latent_strength, svi.noise_augmentation) == (1.0, 0.0)


def test_a_mask_needs_a_start(plan: Planner) -> None:
    with pytest.raises(BadParams, match="known_mask says which frames of the start are known"):
        plan(known_mask=A)
    with pytest.raises(BadParams, match="known_mask"):
        plan(known_mask=A, end_image=E)
    assert plan(known_mask=A, continue_from=V).references["known_mask"] == A


def test_slot_has_no_empty_pixels_to_pad(plan: Planner) -> None:
    with pytest.raises(BadParams, match="pad_video would fill them"):
        plan(start_image=S, end_image=E, end_frame_mode="slot", pad_video=V)


@pytest.mark.parametrize(
    ("fields", "used"),
    [
        ({**SVI, "end_image": E}, True),
        ({**SVI, "end_image": E, "continue_from": V}, True),
        ({**SVI, "end_image": E, "continue_from": TASK}, False),
        ({**SVI, "end_image": E, "end_frame_mode": "slot"}, False),
        ({**SVI}, False),
        ({"start_image": S, "end_image": E}, False),
    ],
)
def test_padding_with_the_anchor_where_there_is_something_to_pad(
    plan: Planner, fields: dict[str, Any], used: bool
) -> None:
    asked = plan(svi_pad_empty_frames_with_anchor=True, **fields)
    assert asked.svi_pad_empty_frames_with_anchor is used
    assert ("svi_pad_empty_frames_with_anchor" in adjusted(asked)) is not used
    own = plan(model_def={"svi_pad_empty_frames_with_anchor": True}, **fields)
    assert own.svi_pad_empty_frames_with_anchor is used
    assert own.adjustments == ()
    off = plan(
        model_def={"svi_pad_empty_frames_with_anchor": True}, svi_pad_empty_frames_with_anchor=False, **fields
    )
    assert off.svi_pad_empty_frames_with_anchor is False
