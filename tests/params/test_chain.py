"""Parameters of a chain: what is read, and what is refused before anything is planned."""

from __future__ import annotations

from typing import Any

import pytest

from headless.errors import BadParams, Unsafe
from headless.params import GenerateParams, parse
from headless.params.chain_rules import image_gaps, same_picture
from headless.params.legal import legal_values

BASE: dict[str, Any] = {"prompt": "a cat", "model": "wan_tiny_i2v"}
S, E, A = "https://h/s.png", "https://h/e.png", "https://h/a.png"
TASK = "6F9619FF-8b86-d011-b42d-00c04fc964ff"


def parsed(**fields: Any) -> GenerateParams:
    given = BASE | fields
    return parse("generate", {name: value for name, value in given.items() if value is not None})


def refused(**fields: Any) -> str:
    """The message with which the fields are refused."""
    with pytest.raises(BadParams) as caught:
        parsed(**fields)
    return caught.value.message


def test_a_chain_with_everything() -> None:
    segment = {
        "prompt": "one",
        "negative_prompt": "",
        "num_frames": 33,
        "start_image": S,
        "end_image": E,
        "anchor_image": A,
        "seed": 7,
        "loras": {"x.safetensors": "1;0"},
        "svi2pro": True,
        "end_frame_mode": "slot",
    }
    params = parsed(
        segments=[segment, {"seconds": 3}],
        continuation="pixels",
        overlap=8,
        end_tail_latents=2,
        color_lock="previous",
        color_lock_strength=0.5,
        extend_from=TASK,
        reroll={"1": [11, 12]},
    )
    assert params.segments is not None
    assert params.segments[0].loras is not None
    assert params.segments[0].loras[0].name == "x.safetensors"
    assert params.segments[1].seconds == 3
    assert params.extend_from == TASK.lower()
    assert params.reroll == {1: (11, 12)}
    assert params.references() == {
        "extend_from": TASK.lower(),
        "segments[0].start_image": S,
        "segments[0].end_image": E,
        "segments[0].anchor_image": A,
    }


def test_images_are_references() -> None:
    assert parsed(images=[S, E], anchor_image=A).references() == {
        "anchor_image": A,
        "images[0]": S,
        "images[1]": E,
    }


def test_null_in_a_segment_is_not_given() -> None:
    assert parsed(segments=[{"prompt": None, "image_end": None, "end_image": E}]).references() == {
        "segments[0].end_image": E
    }


@pytest.mark.parametrize(
    ("alias", "field"),
    [("image_end", "end_image"), ("image_url", "start_image"), ("last_image", "end_image")],
)
def test_other_names_are_understood_in_a_segment(alias: str, field: str) -> None:
    assert parsed(segments=[{alias: S}]).references() == {f"segments[0].{field}": S}
    assert parsed(segments=[{alias: S, field: S}]).references() == {f"segments[0].{field}": S}
    assert f"segments[0] names {field} twice, with two values" in refused(segments=[{alias: S, field: E}])


@pytest.mark.parametrize(
    ("fields", "prompt"),
    [
        ({"segments": [{"prompt": "one"}, {"base_prompt": "two"}]}, "one"),
        ({"images": [S, E], "prompts": ["there"]}, "there"),
    ],
)
def test_a_prompt_for_each_needs_none_for_all(fields: dict[str, Any], prompt: str) -> None:
    assert parsed(**fields, prompt=None).prompt == prompt


@pytest.mark.parametrize(
    "fields",
    [
        {"segments": [{"prompt": "one"}, {}]},
        {"images": [S, E]},
        {"seconds": 30},
        {"segments": [{"prompt": 5}]},
        {"prompts": "one"},
    ],
)
def test_where_one_has_no_prompt_there_is_one_for_all(fields: dict[str, Any]) -> None:
    assert "prompt is missing: give text" in refused(**fields, prompt=None)


@pytest.mark.parametrize(
    ("fields", "says"),
    [
        (
            {"segments": []},
            'segments is a list of 0: give 1 to 256 objects such as {"prompt": ..., "seconds"',
        ),
        ({"segments": [{}] * 257}, "segments is a list of 257: give 1 to 256 objects"),
        ({"segments": [{}] * 100_000}, "segments is a list of 100000: give 1 to 256"),
        ({"segments": {}}, "segments is an object with 0 fields: give 1 to 256 objects"),
        ({"segments": ["one"]}, "segments[0] is "),
        ({"segments": [{"promt": "x"}]}, '"promt" is not a field of segments[0].'),
        ({"segments": [{"num_frames": 81.0}]}, "segments[0].num_frames is 81.0: give a whole number from 1"),
        ({"segments": [{}, {"num_frames": 0}]}, "segments[1].num_frames is 0"),
        ({"segments": [{"seconds": 0}]}, "segments[0].seconds is 0: give a number from 0.1 to 1200"),
        (
            {"segments": [{"seconds": 2, "num_frames": 33}]},
            "segments[0] has seconds and num_frames: give one",
        ),
        ({"segments": [{"prompt": " "}]}, 'segments[0].prompt is " ": give text'),
        ({"segments": [{"end_image": "cat.png"}]}, 'segments[0].end_image is "cat.png": give an http(s) URL'),
        ({"segments": [{"loras": {"a.safetensors": 11}}]}, "segments[0].loras[0].strength is 11"),
        (
            {"segments": [{"loras": [{"name": "a.safetensors"}, {"name": "a.safetensors"}]}]},
            "segments[0].loras name a.safetensors twice: name it once.",
        ),
        (
            {"segments": [{"overlap": 4}]},
            "segments[0].overlap is 4: overlap is for the whole task, and nothing comes before the first one:"
            " give it beside segments.",
        ),
        (
            {"segments": [{}, {"overlap": 4}]},
            "segments[1].overlap is 4: overlap is for the whole task: give it",
        ),
        ({"segments": [{"steps": 4}]}, "segments[0].steps is 4: steps is for the whole task: give it beside"),
        (
            {"segments": [{"end_image": E}, {"start_image": A}]},
            'segments[1].start_image is "https://h/a.png", and segments[0] ends with "https://h/e.png": the '
            "images are out of order",
        ),
        (
            {"segments": [{}, {"start_image": A}]},
            "and segments[0] ends elsewhere: the images are out of order",
        ),
        ({"segments": [{}], "seconds": 3}, "segments and seconds are two ways to ask for a long video"),
        ({"images": [S, E], "seconds": 3}, "images and seconds are two ways"),
        ({"images": [S]}, "images is a list of 1: give 2 to 257 images"),
        ({"images": []}, "images is a list of 0: give 2 to 257 images"),
        ({"images": [S] * 258}, "images is a list of 258: give 2 to 257 images"),
        ({"images": [S, 5]}, "images[1] is 5: give an http(s) URL"),
        ({"images": [S, E, E]}, "images[1] and images[2] are the same"),
        ({"images": [S, E], "start_image": S}, "start_image is given beside images, whose first one it is"),
        ({"images": [S, E], "end_image": A}, "end_image is given beside images, whose last one it is"),
        (
            {"images": [S, E], "prompts": ["a", "b"]},
            "prompts is a list of 2, and 2 images have 1 gap between",
        ),
        ({"images": [S, E, A], "prompts": ["a"]}, "3 images have 2 gaps between them: give 2, or one prompt"),
        (
            {"images": [S, E, A], "prompts": ["a", "b"], "loop": True},
            "3 images have 3 gaps between them, with the one back to the first: give 3",
        ),
        ({"prompts": ["a"]}, "prompts is given without images"),
        ({"prompts": ["a", ""], "images": [S, E, A]}, 'prompts[1] is ""'),
        ({"seconds": 0.01}, "seconds is 0.01: give a number from 0.1 to 1200"),
        ({"seconds": 1e9}, "seconds is 1000000000.0: give a number from 0.1 to 1200"),
        ({"seconds": True}, "seconds is true"),
        ({"continuation": "video"}, 'continuation is "video": give one of "latents", "pixels", "last_frame"'),
        ({"overlap": -4}, "overlap is -4: give a whole number from 0 to 128"),
        ({"end_tail_latents": 9}, "end_tail_latents is 9: give a whole number from 0 to 8"),
        ({"color_lock": "on"}, 'color_lock is "on": give one of "off", "anchor", "previous"'),
        ({"color_lock_strength": 1.5}, "color_lock_strength is 1.5: give a number from 0 to 1"),
        ({"loop": "yes"}, 'loop is "yes": give true or false'),
        ({"loop": True, "start_image": S}, "loop is true, and there is one segment: a loop has at least two"),
        ({"loop": True, "segments": [{}]}, "loop is true, and there is one segment"),
        ({"loop": True, "images": [S, E, S], "extend_from": A}, "loop is true, and extend_from is given"),
        ({"loop": True, "seconds": 9, "continue_from": A}, "loop is true, and continue_from is given"),
        (
            {"loop": True, "seconds": 9, "start_image": S, "end_image": E},
            "loop is true, and end_image is given: a loop ends with its first frame",
        ),
        (
            {"loop": True, "start_image": S, "segments": [{}, {"end_image": E}]},
            "loop is true, and segments[1].end_image is given",
        ),
        ({"extend_from": A, "continue_from": E}, "extend_from and continue_from are both given"),
        ({"extend_from": "movie"}, 'extend_from is "movie": give the id of a finished task, or its video'),
        ({"reroll": {}}, "reroll is an object with 0 fields: give an object such as"),
        ({"reroll": [1]}, "reroll is a list of 1: give an object such as"),
        ({"reroll": {"two": [1]}}, 'reroll names the segment "two": give an object such as {"2": [11, 12]}'),
        ({"reroll": {"-1": [1]}}, 'reroll names the segment "-1"'),
        ({"reroll": {"²": [1]}}, 'reroll names the segment "²"'),
        ({"reroll": {"9" * 10: [1]}}, 'reroll names the segment "9999999999"'),
        ({"reroll": {"1": []}}, "reroll gives segment 1 a list of 0"),
        ({"reroll": {"1": list(range(17))}}, "reroll gives segment 1 a list of 17"),
        ({"reroll": {"1": 5}}, "reroll gives segment 1 5"),
        ({"reroll": {"1": [2**32]}}, "reroll gives segment 1 the seed 4294967296"),
        ({"reroll": {"1": [True]}}, "reroll gives segment 1 the seed true"),
        ({"reroll": {"1": [5, 5]}}, "reroll names segment 1, or a seed of it, twice"),
        ({"reroll": {"1": [5], "01": [6]}}, "reroll names segment 01, or a seed of it, twice"),
    ],
)
def test_what_is_refused(fields: dict[str, Any], says: str) -> None:
    assert says in refused(**fields)


def test_a_mistake_in_a_segment_is_told_alone() -> None:
    assert refused(segments=[{"promt": "x"}]) == '"promt" is not a field of segments[0].'


@pytest.mark.parametrize(
    "fields",
    [
        {"segments": [{"end_image": "file:///etc/passwd"}]},
        {"images": [S, "../secret.png"]},
        {"extend_from": "file:///etc/passwd"},
        {"segments": [{"loras": {"../../x.safetensors": 1}}]},
    ],
)
def test_a_reach_for_files_is_unsafe(fields: dict[str, Any]) -> None:
    with pytest.raises(Unsafe, match=r"segments\[0\]|images\[1\]|extend_from"):
        parsed(**fields)


def test_a_million_segments_are_refused_unread() -> None:
    with pytest.raises(BadParams, match="params are larger than 1000000 characters"):
        parsed(segments=[{}] * 1_000_000)


def test_a_segment_starts_where_the_one_before_ends() -> None:
    signed = [{"end_image": f"{E}?token=1"}, {"start_image": f"{E}?token=2"}]
    assert len(parsed(segments=signed).references()) == 2


def test_a_loop_may_name_its_end() -> None:
    assert parsed(loop=True, seconds=9, start_image=S, end_image=f"{S}?token=1").loop
    assert parsed(loop=True, segments=[{"start_image": S}, {"end_image": S}]).loop


RENDER = "https://h.example/render?id="


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (f"{E}?token=1", E),
        (f"{RENDER}5&token=1", f"{RENDER}5"),
        (f"{RENDER}5&X-Amz-Date=1&X-Amz-Signature=a", f"{RENDER}5&X-Amz-Date=2&x-amz-signature=b"),
        (f"{E}?Expires=1&Signature=a&Key-Pair-Id=K", f"{E}?Expires=2&Signature=b&Key-Pair-Id=K"),
        (f"{E}?X-Goog-Expires=60", f"{E}?AWSAccessKeyId=A&Expires=1&Signature=b"),
        (f"{E}?Policy=p&GoogleAccessId=g", f"{E}?"),
    ],
)
def test_a_signature_is_no_part_of_a_picture(one: str, other: str) -> None:
    assert same_picture(one, other)
    assert same_picture(other, one)
    with pytest.raises(BadParams, match=r"images\[0\] and images\[1\] are the same"):
        parsed(images=[one, other])
    assert image_gaps((one, f"{RENDER}9", other), loop=True) == 2


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (f"{RENDER}5", f"{RENDER}6"),
        (f"{RENDER}5&token=1", f"{RENDER}6&token=1"),
        (f"{E}?versionId=1", E),
        (f"{E}?tokens=1", f"{E}?tokens=2"),
        ("storage://inputs/o/a?token=1", "storage://inputs/o/a?token=2"),
    ],
)
def test_all_else_of_an_address_is_the_picture(one: str, other: str) -> None:
    assert not same_picture(one, other)
    assert not same_picture(other, one)
    assert image_gaps((one, f"{RENDER}9", other), loop=True) == 3


def test_no_picture_is_not_a_picture() -> None:
    assert not same_picture(E, None)


def test_pictures_of_one_script_are_out_of_order() -> None:
    segments = [{"start_image": f"{RENDER}5", "end_image": f"{RENDER}6"}, {"start_image": f"{RENDER}9"}]
    with pytest.raises(BadParams, match=r"segments\[1\].start_image is .*the images are out of order"):
        parsed(segments=segments)
    with pytest.raises(BadParams, match="loop is true, and end_image is given"):
        parsed(loop=True, seconds=9, start_image=f"{RENDER}5", end_image=f"{RENDER}6")


def test_legal_values_of_a_segment() -> None:
    schema = GenerateParams.model_json_schema()
    assert legal_values(schema, ("segments", 3, "seconds")) == "a number from 0.1 to 1200"
    assert legal_values(schema, ("images", 0)).startswith("an http(s) URL")
    assert schema["anyOf"] == [{"required": [name]} for name in ("prompt", "prompts", "segments")]
    assert schema["required"] == ["model"]
