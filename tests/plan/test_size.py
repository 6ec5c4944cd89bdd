"""The size of a clip."""

from __future__ import annotations

from typing import Any

import pytest

from headless.errors import BadParams
from tests.plan.conftest import Planner

WIDE: dict[str, Any] = {"settings": {"width": 832, "height": 480}}


@pytest.mark.parametrize(
    ("fields", "sizes", "size"),
    [
        ({}, {}, (832, 480)),
        ({"width": 640, "height": 640}, {"start_image": (100, 50)}, (640, 640)),
        ({}, {"start_image": (1920, 1080)}, (848, 480)),
        ({}, {"start_image": (1080, 1920)}, (480, 848)),
        ({}, {"start_image": (500, 500)}, (624, 624)),
        ({}, {"end_image": (500, 500)}, (624, 624)),
        ({}, {"anchor_image": (1080, 1920), "end_image": (500, 500)}, (480, 848)),
        ({}, {"start_image": (500, 500), "anchor_image": (1080, 1920)}, (624, 624)),
        ({}, {"continue_from": (640, 352), "start_image": (500, 500)}, (640, 352)),
        ({}, {"continue_from": (853, 479)}, (848, 480)),
        ({"width": 640}, {"start_image": (1000, 500)}, (640, 320)),
        ({"height": 640}, {"start_image": (1000, 500)}, (1280, 640)),
        ({"width": 416}, {}, (416, 240)),
        ({"height": 240}, {}, (416, 240)),
    ],
)
def test_sizes(
    plan: Planner, fields: dict[str, Any], sizes: dict[str, tuple[int, int]], size: tuple[int, int]
) -> None:
    made = plan(sizes=sizes, **WIDE, **fields)
    assert (made.width, made.height) == size
    assert made.adjustments == ()


def test_sides_are_rounded_down_and_reported(plan: Planner) -> None:
    made = plan(width=1919, height=1087)
    assert (made.width, made.height) == (1904, 1072)
    assert [entry.as_json() for entry in made.adjustments] == [
        {"field": "width", "requested": 1919, "used": 1904, "why": "a side is a multiple of 16"},
        {"field": "height", "requested": 1087, "used": 1072, "why": "a side is a multiple of 16"},
    ]


def test_one_side_is_rounded_before_the_other_is_derived(plan: Planner) -> None:
    made = plan(width=650, sizes={"start_image": (1000, 500)})
    assert (made.width, made.height) == (640, 320)
    assert [entry.field for entry in made.adjustments] == ["width"]


@pytest.mark.parametrize(
    ("fields", "image"),
    [
        ({}, (1, 20_000)),
        ({}, (20_000, 1)),
        ({"width": 2048}, (500, 1000)),
        ({"height": 64}, (1, 10)),
        ({"width": 1600}, (1, 1)),
    ],
)
def test_a_shape_without_a_legal_size_is_refused(
    plan: Planner, fields: dict[str, Any], image: tuple[int, int]
) -> None:
    with pytest.raises(BadParams, match=r"start_image has the shape \d+ x \d+.*give width and height"):
        plan(sizes={"start_image": image}, **WIDE, **fields)


def test_a_side_that_the_models_shape_cannot_have(plan: Planner) -> None:
    with pytest.raises(BadParams, match="the model has the shape 832 x 480"):
        plan(height=2048, **WIDE)
