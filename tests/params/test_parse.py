"""Parameters are taken as they are meant, or refused with the field, the value and what is legal."""

from __future__ import annotations

from typing import Any

import pytest

from headless.errors import BadParams
from headless.params import GenerateParams, parse

BASE: dict[str, Any] = {"prompt": "a cat yawns", "model": "wan_tiny_i2v"}
TASK = "6f9619ff-8b86-d011-b42d-00c04fc964ff"
CANONICAL = [
    "prompt",
    "negative_prompt",
    "model",
    "start_image",
    "end_image",
    "anchor_image",
    "continue_from",
    "num_frames",
    "width",
    "height",
    "fps",
    "steps",
    "guidance_scale",
    "guidance_scale_2",
    "flow_shift",
    "seed",
    "loras",
    "svi2pro",
    "svi_pad_empty_frames_with_anchor",
    "end_frame_mode",
    "motion_latent_count",
    "pad_video",
    "known_mask",
    "start_latent_strength",
    "end_latent_strength",
    "augment_empty_frames",
    "noise_augmentation",
    "output_checks",
    "strict",
    "image_fit",
    "phase_config",
    "segments",
    "continuation",
    "overlap",
    "end_tail_latents",
    "images",
    "prompts",
    "seconds",
    "color_lock",
    "color_lock_strength",
    "loop",
    "extend_from",
    "reroll",
]


def refused(**fields: Any) -> str:
    """The message with which the fields are refused."""
    with pytest.raises(BadParams) as caught:
        parse("generate", {**BASE, **fields})
    return caught.value.message


def test_the_canonical_names_are_exactly_these() -> None:
    assert sorted(GenerateParams.model_fields) == sorted(CANONICAL)


def test_a_task_with_everything() -> None:
    params = parse(
        "generate",
        {
            **BASE,
            "negative_prompt": "",
            "start_image": "storage://inputs/local/a.png",
            "end_image": "https://example.org/b.png?token=1",
            "anchor_image": "http://example.org/c.png",
            "continue_from": TASK,
            "num_frames": 81,
            "width": 832,
            "height": 480,
            "fps": 16,
            "steps": 6,
            "guidance_scale": 1,
            "guidance_scale_2": 1.5,
            "flow_shift": 5.0,
            "seed": 2**32 - 1,
            "loras": [{"name": "style.safetensors", "strength": "1;0"}],
            "svi2pro": True,
            "svi_pad_empty_frames_with_anchor": False,
            "end_frame_mode": "slot",
            "motion_latent_count": 1,
            "pad_video": "storage://outputs/local/task/1/video.mp4",
            "known_mask": "https://example.org/m.png",
            "start_latent_strength": 0.5,
            "end_latent_strength": 2,
            "augment_empty_frames": 0.1,
            "noise_augmentation": 0.0,
            "image_fit": "pad",
            "strict": True,
        },
    )
    assert params.guidance_scale == 1.0
    assert params.seed == 2**32 - 1
    assert params.loras[0].strengths == ((1.0,), (0.0,))
    assert params.references() == {
        "start_image": "storage://inputs/local/a.png",
        "end_image": "https://example.org/b.png?token=1",
        "anchor_image": "http://example.org/c.png",
        "continue_from": TASK,
        "pad_video": "storage://outputs/local/task/1/video.mp4",
        "known_mask": "https://example.org/m.png",
    }


def test_parameters_cannot_be_changed() -> None:
    params = parse("generate", BASE)
    with pytest.raises(ValueError, match="frozen"):
        params.steps = 3


@pytest.mark.parametrize(
    ("params", "message"),
    [
        (None, "params is null: send a JSON object of parameters."),
        ([], "params is a list of 0: send a JSON object of parameters."),
        (3, "params is 3: send a JSON object of parameters."),
        ("{}", "params is text: send the JSON object itself, not a text that contains it."),
    ],
)
def test_only_an_object_is_parameters(params: Any, message: str) -> None:
    with pytest.raises(BadParams) as caught:
        parse("generate", params)
    assert caught.value.message == message


@pytest.mark.parametrize("task_type", ["", "Generate", "../t2v", "I2V", "travel_stitch", "generate\n"])
def test_an_unknown_task_type_names_the_known_ones(task_type: str) -> None:
    known = (
        '"generate", "i2v", "i2v_22", "individual_travel_segment", "travel_orchestrator", '
        '"travel_segment", "wan_2_2_i2v"'
    )
    with pytest.raises(BadParams, match=f"give {known}[.]$"):
        parse(task_type, BASE)


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"num_frames": 81.0}, "num_frames is 81.0: give a whole number from 1 to 1025."),
        ({"num_frames": "81"}, 'num_frames is "81": give a whole number from 1 to 1025.'),
        ({"num_frames": True}, "num_frames is true: give a whole number from 1 to 1025."),
        ({"num_frames": 0}, "num_frames is 0: give a whole number from 1 to 1025."),
        ({"num_frames": 2**31}, "num_frames is 2147483648: give a whole number from 1 to 1025."),
        ({"num_frames": 10**5000}, "a number of more than 38 digits"),
        ({"width": float("inf")}, "width is inf: give a whole number from 64 to 2048."),
        ({"width": 1, "height": 1}, "width is 1: give a whole number from 64 to 2048. height is 1:"),
        ({"width": 16384}, "width is 16384"),
        ({"width": 2048, "height": 2048}, "width x height is 2048 x 2048: give at most 2088960 pixels"),
        ({"seed": -1}, "seed is -1: give a whole number from 0 to 4294967295."),
        ({"seed": 2**64}, "seed is 18446744073709551616"),
        ({"seed": "random"}, 'seed is "random"'),
        ({"steps": 10_000}, "steps is 10000: give a whole number from 1 to 100."),
        ({"guidance_scale": -1e30}, "guidance_scale is -1e+30: give a number from 0 to 30."),
        ({"guidance_scale": float("nan")}, "guidance_scale is nan: give a number from 0 to 30."),
        ({"guidance_scale": True}, "guidance_scale is true: give a number from 0 to 30."),
        ({"guidance_scale": 10**400}, "guidance_scale is a number of more than 38 digits"),
        ({"flow_shift": 0}, "flow_shift is 0: give a number from 0.01 to 100."),
        ({"fps": 0}, "fps is 0: give a whole number from 1 to 60."),
        ({"fps": 1000}, "fps is 1000"),
        ({"strict": 1}, "strict is 1: give true or false."),
        ({"svi2pro": "yes"}, 'svi2pro is "yes": give true or false.'),
        ({"image_fit": "stretch"}, 'image_fit is "stretch": give one of "crop", "pad".'),
        ({"end_frame_mode": "none"}, 'give one of "in_chunk", "extra_latent", "slot", "repeat_4".'),
        ({"motion_latent_count": -1}, "motion_latent_count is -1: give a whole number from 0 to 32."),
        ({"start_latent_strength": 11}, "start_latent_strength is 11: give a number from 0 to 10."),
        ({"model": "../x"}, 'model is "../x": give the id of a model definition'),
        ({"model": 3}, "model is 3: give the id"),
        ({"prompt": ["a"]}, "prompt is a list of 1: give text of at most 10000 characters"),
    ],
)
def test_a_wrong_value_is_named_with_what_is_legal(fields: dict[str, Any], message: str) -> None:
    assert message in refused(**fields)


@pytest.mark.parametrize("prompt", ["", "  \n\t", "\u200b", "\u2060\ufeff \u00ad"])
def test_a_prompt_without_a_visible_character_is_refused(prompt: str) -> None:
    assert "at least one of them visible" in refused(prompt=prompt, start_image="https://h/a.png")


def test_a_long_prompt_is_refused_and_not_truncated() -> None:
    assert len(parse("generate", {**BASE, "prompt": "x" * 10_000}).prompt) == 10_000
    message = refused(prompt="secret " * 2000)
    assert message.startswith("prompt is a text of 14000 characters")
    assert "secret" not in message


@pytest.mark.parametrize(
    "prompt",
    [
        "%s %n {0} {self.__class__} ${jndi:ldap://h}",
        "'; drop table tasks;--",
        '"]}}',
        "(" * 9000,
        "<lora:../../etc/passwd:1>",
        "<script>alert(1)</script>",
        "猫が欠伸をする \U0001f408",
    ],
)
def test_prompts_are_kept_verbatim(prompt: str) -> None:
    assert parse("generate", {**BASE, "prompt": prompt}).prompt == prompt


def test_several_problems_come_in_one_message_and_the_rest_is_counted() -> None:
    wrong = {"fps": 0, "steps": 0, "seed": -1, "width": 1, "height": 1, "strict": "no", "num_frames": 0}
    message = refused(**wrong)
    assert message.count(": give ") == 5
    assert message.endswith("And 2 more.")


def test_missing_fields_are_named() -> None:
    with pytest.raises(BadParams) as caught:
        parse("generate", {})
    assert "prompt is missing: give text" in caught.value.message
    assert "model is missing: give the id" in caught.value.message


@pytest.mark.parametrize(
    ("name", "hint"),
    [
        ("frames", "did you mean num_frames?"),
        ("guidance", "did you mean guidance_scale?"),
        ("startimage", "did you mean start_image?"),
        ("video_lenght", "did you mean video_length?"),
        ("__class__", "known fields are anchor_image, "),
        ("webhook_url", "is not a field"),
    ],
)
def test_an_unknown_field_is_refused_with_the_nearest_name(name: str, hint: str) -> None:
    message = refused(**{name: None})
    assert message.startswith(f"{name} is not a field: ")
    assert hint in message


def test_a_field_name_is_not_echoed_in_full_or_raw() -> None:
    message = refused(**{"\u202eevil" + "x" * 5000: 1})
    assert "\\u202eevil" in message
    assert len(message) < 800


def test_null_is_the_same_as_leaving_a_field_out() -> None:
    nulls = {name: None for name in GenerateParams.model_fields if name not in BASE}
    assert parse("generate", {**BASE, **nulls}) == parse("generate", BASE)
