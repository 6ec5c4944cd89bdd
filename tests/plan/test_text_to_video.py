"""Models that read text only: what a plan says of them, and what it refuses."""

from __future__ import annotations

from typing import Any

import pytest

from headless.errors import BadParams
from tests.plan.conftest import Planner

MODELS = ("t2v", "t2v_1.3B", "t2v_2_2")
PICTURE, CLIP, TASK = "https://h/a.png", "https://h/a.mp4", "6f9619ff-8b86-d011-b42d-00c04fc964ff"


@pytest.mark.parametrize("model", MODELS)
def test_a_prompt_is_enough(plan: Planner, model: str) -> None:
    made = plan(model=model)
    assert (made.width, made.height, made.num_frames, made.fps) == (832, 480, 81, 16)
    assert made.segments[0].latents == 21
    assert made.references == {}
    assert made.adjustments == ()


def test_the_pair_has_a_guidance_of_its_own_for_each_expert(plan: Planner) -> None:
    made = plan(model="t2v_2_2")
    assert (made.guidance_scale, made.guidance_scale_2, made.flow_shift) == (4.0, 3.0, 12.0)


@pytest.mark.parametrize("model", MODELS)
@pytest.mark.parametrize(
    "fields",
    [
        {"start_image": PICTURE},
        {"end_image": PICTURE},
        {"anchor_image": PICTURE},
        {"continue_from": CLIP},
        {"continue_from": TASK},
        {"start_image": PICTURE, "pad_video": CLIP},
    ],
)
def test_pictures_are_refused_before_anything_is_loaded(
    plan: Planner, model: str, fields: dict[str, Any]
) -> None:
    with pytest.raises(BadParams, match="makes videos of text only: leave") as refused:
        plan(model=model, **fields)
    assert all(name in refused.value.message for name in (model, *fields))


def test_svi_is_refused(plan: Planner) -> None:
    with pytest.raises(BadParams, match="svi2pro is true, and t2v makes videos of text only"):
        plan(model="t2v", svi2pro=True, start_image=PICTURE)


def test_options_of_pictures_are_told_to_do_nothing(plan: Planner) -> None:
    made = plan(model="t2v", augment_empty_frames=0.1, start_latent_strength=0.5)
    told = {entry.field: (entry.requested, entry.used, entry.why) for entry in made.adjustments}
    why = "it does nothing with a model that reads no pictures"
    assert told == {"augment_empty_frames": (0.1, 0.0, why), "start_latent_strength": (0.5, 1.0, why)}
    with pytest.raises(BadParams):
        plan(model="t2v", augment_empty_frames=0.1, strict=True)
