"""The names that existing frontends send mean ours; names that disagree are refused."""

from __future__ import annotations

from typing import Any

import pytest

from headless.errors import BadParams
from headless.params import parse
from headless.params.aliases import ALIASES

BASE: dict[str, Any] = {"prompt": "a cat", "model": "m"}
A, B = "https://h/a.png", "https://h/b.png"


def parsed(fields: dict[str, Any]) -> Any:
    return parse("generate", {**BASE, **fields})


def refused(fields: dict[str, Any]) -> str:
    with pytest.raises(BadParams) as caught:
        parsed(fields)
    return caught.value.message


def test_every_alias_that_frontends_send_is_known() -> None:
    assert set(ALIASES) == {
        "model_name",
        "model_type",
        "image",
        "image_url",
        "image_start",
        "image_end",
        "last_image",
        "end_image_url",
        "image_refs",
        "video_length",
        "resolution",
        "parsed_resolution_wh",
        "num_inference_steps",
        "base_prompt",
        "seed_to_use",
        "additional_loras",
    }


@pytest.mark.parametrize(
    ("alias", "value", "field"),
    [
        ("image", A, "start_image"),
        ("image_url", A, "start_image"),
        ("image_start", A, "start_image"),
        ("image_end", A, "end_image"),
        ("last_image", A, "end_image"),
        ("end_image_url", A, "end_image"),
        ("image_refs", A, "anchor_image"),
        ("video_length", 81, "num_frames"),
        ("num_inference_steps", 6, "steps"),
        ("seed_to_use", 7, "seed"),
    ],
)
def test_a_plain_alias(alias: str, value: Any, field: str) -> None:
    assert getattr(parsed({alias: value}), field) == value
    assert getattr(parsed({alias: value, field: value}), field) == value
    assert getattr(parsed({alias: value, field: None}), field) == value


@pytest.mark.parametrize("alias", ["model_name", "model_type"])
def test_aliases_of_required_fields(alias: str) -> None:
    assert parse("generate", {"base_prompt": "a dog", alias: "m2"}).model == "m2"
    assert parse("generate", {"base_prompt": "a dog", alias: "m2"}).prompt == "a dog"


def test_a_wrong_value_is_reported_with_the_name_it_came_under() -> None:
    message = refused({"video_length": "81"})
    assert message == 'num_frames (sent as video_length) is "81": give a whole number from 1 to 1025.'


def test_one_reference_in_a_list() -> None:
    assert parsed({"image_refs": [A]}).anchor_image == A
    assert parsed({"image_refs": []}).anchor_image is None
    assert refused({"image_refs": [A, B]}) == (
        "image_refs is a list of 2: give one image, as a reference or a list of one."
    )


@pytest.mark.parametrize(
    "fields",
    [
        {"resolution": "832x480"},
        {"resolution": " 832 X 480 "},
        {"parsed_resolution_wh": "832x480"},
        {"parsed_resolution_wh": [832, 480]},
        {"resolution": "832x480", "parsed_resolution_wh": [832, 480], "width": 832, "height": 480},
    ],
)
def test_sizes(fields: dict[str, Any]) -> None:
    params = parsed(fields)
    assert (params.width, params.height) == (832, 480)


@pytest.mark.parametrize("value", ["big", "832", "832x", 832, {"w": 1}, "-832x480", "８３２x480"])
def test_what_is_no_size(value: Any) -> None:
    assert refused({"resolution": value}).endswith('give "WIDTHxHEIGHT", such as "832x480".')
    assert refused({"parsed_resolution_wh": value}).endswith(" or [832, 480].")


def test_a_size_goes_through_the_same_checks() -> None:
    assert "width (sent as parsed_resolution_wh) is 832.0: give a whole number" in refused(
        {"parsed_resolution_wh": [832.0, 480]}
    )


def test_two_names_that_disagree_are_both_named() -> None:
    assert refused({"image": A, "start_image": B}) == (
        f'image is "{A}" and start_image is "{B}": these are two names of one field; '
        "send one of them, or the same value."
    )
    assert refused({"width": 1280, "resolution": "832x480"}).startswith(
        "width is 1280 and resolution makes width 832: "
    )
    assert "video_length is 81 and num_frames is 97" in refused({"video_length": 81, "num_frames": 97})
    assert 'model is "m" and model_name is "n"' in refused({"model_name": "n"})


def test_true_does_not_agree_with_one() -> None:
    assert "disagree" not in refused({"steps": 1, "num_inference_steps": True})
    assert "steps is 1 and num_inference_steps is true" in refused({"steps": 1, "num_inference_steps": True})


def test_a_conflict_does_not_also_call_the_field_missing() -> None:
    with pytest.raises(BadParams) as caught:
        parse("generate", {"prompt": "a", "base_prompt": "b", "model": "m"})
    assert "missing" not in caught.value.message


def test_loras_in_every_form() -> None:
    listed = parsed({"loras": [{"name": "a.safetensors", "strength": 0.5}, {"name": "b.safetensors"}]})
    mapped = parsed({"loras": {"a.safetensors": 0.5, "b.safetensors": 1.0}})
    added = parsed({"additional_loras": {"a.safetensors": 0.5, "b.safetensors": 1.0}})
    assert listed == mapped == added
    assert parsed({"additional_loras": {}}).loras == ()


def test_equal_loras_agree_however_they_are_written() -> None:
    fields = {
        "additional_loras": {"https://h/a.safetensors": 1, "b.safetensors": "1;0"},
        "loras": [{"name": "b.safetensors", "strength": "1.0; 0"}, {"name": "https://h/a.safetensors"}],
    }
    assert len(parsed(fields).loras) == 2


def test_loras_that_disagree() -> None:
    message = refused({"additional_loras": {"a.safetensors": 1}, "loras": {"a.safetensors": 0.5}})
    assert message.startswith("additional_loras makes loras a list of 1 and loras is a list of 1:") or (
        "additional_loras is a list of 1 and loras is a list of 1" in message
    )
    assert "two names of one field" in refused({"additional_loras": {"a.safetensors": 1}, "loras": [3]})


def test_additional_loras_is_an_object() -> None:
    assert refused({"additional_loras": ["a"]}) == (
        "additional_loras is a list of 1: give an object {url: strength, ...}."
    )
