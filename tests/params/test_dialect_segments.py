"""`travel_segment` and `individual_travel_segment`: one segment of a travel as a task of its own."""

from __future__ import annotations

from typing import Any

import pytest

from headless.errors import BadParams, Unsafe
from headless.params import Parsed, parse_task
from headless.planning.seeds import segment_seed
from headless.task import Continued, TaskStatus
from tests.params.dialect_payloads import (
    LEFT_LATENTS,
    LEFT_VIDEO,
    MODEL,
    PARENT,
    STYLE,
    A,
    B,
    C,
    individual,
    orchestrated,
    phase_config,
    segment,
)

SVI_MODEL = "wan_2_2_i2v_lightning_svi_3_3"
VIDEO = "https://example.org/before.mp4"


def travel(index: int = 0, continued: Continued | None = None, **fields: Any) -> Parsed:
    return parse_task("travel_segment", segment(index, **fields), continued)


def again(continued: Continued | None = None, top: dict[str, Any] | None = None, **own: Any) -> Parsed:
    return parse_task("individual_travel_segment", {**individual(**own), **(top or {})}, continued)


def refused(index: int = 0, **fields: Any) -> str:
    with pytest.raises(BadParams) as caught:
        travel(index, **fields)
    return caught.value.message


def adjusted(parsed: Parsed) -> dict[str, tuple[object, object]]:
    return {entry.field: (entry.requested, entry.used) for entry in parsed.adjustments}


def test_a_segment_of_a_travel_without_svi_stands_alone() -> None:
    parsed = travel(1, LEFT_LATENTS)
    params = parsed.params
    assert (params.prompt, params.negative_prompt, params.model) == ("to the sea", "blurred", MODEL)
    assert (params.start_image, params.end_image, params.continue_from) == (B, C, None)
    assert (params.num_frames, params.seed, params.steps, params.fps) == (61, 789, 6, 16)
    assert (params.guidance_scale, params.guidance_scale_2, params.flow_shift) == (1, 1, 5)
    assert params.svi2pro is None
    assert parsed.adjustments == ()
    assert "orchestrator_task_id_ref" in parsed.ignored_fields
    assert "orchestrator_details.base_prompts_expanded" not in parsed.ignored_fields


def test_with_svi_it_continues_the_latents_of_the_task_that_it_depends_on() -> None:
    parsed = travel(1, LEFT_LATENTS, use_svi=True)
    params = parsed.params
    assert (params.continue_from, params.svi2pro, params.model) == (PARENT, True, SVI_MODEL)
    assert (params.start_image, params.end_image) == (B, C)
    assert adjusted(parsed) == {
        "model_name": (MODEL, SVI_MODEL),
        "seed_to_use": (789, segment_seed(789, 1)),
        "num_frames": (61, 65),
    }


def test_separate_tasks_make_the_clips_of_one_chain() -> None:
    """The same seeds, frames, models and pictures as a `travel_orchestrator` of the same travel."""
    svi = {"strategy": "svi_latent_chaining", "overlap_frames": 4}
    frames = {"segment_frames_expanded": [61, 61]}
    chain = parse_task("travel_orchestrator", orchestrated(continuation_config=svi, **frames)).params
    assert chain.segments is not None
    for index, part in enumerate(chain.segments):
        alone = travel(index, LEFT_LATENTS, continuation_config=svi).params
        assert alone.num_frames == part.num_frames
        assert alone.end_image == part.end_image
        assert alone.start_image == (part.anchor_image or part.start_image)
        assert alone.seed == segment_seed(chain.seed or 0, index)
        assert (alone.model, alone.svi2pro, alone.overlap) == (chain.model, True, chain.overlap)


def test_without_latents_the_video_is_continued_and_that_is_reported() -> None:
    parsed = travel(1, LEFT_VIDEO, use_svi=True)
    assert parsed.params.continue_from == "storage://outputs/local/parent/1/video.mp4"
    assert adjusted(parsed)["dependant_on"] == (PARENT, "its video")
    assert adjusted(parsed)["num_frames"] == (61, 69)


def test_another_workers_video_may_be_an_address() -> None:
    elsewhere = Continued(TaskStatus.COMPLETE, None, VIDEO, PARENT)
    assert travel(1, elsewhere, use_svi=True).params.continue_from == VIDEO


@pytest.mark.parametrize("place", ["", None, "/mnt/share/video.mp4", "videos/a.mp4"])
def test_a_predecessor_that_left_nothing_usable_is_named(place: str | None) -> None:
    nothing = Continued(TaskStatus.COMPLETE, None, place, PARENT)
    with pytest.raises((BadParams, Unsafe), match=r"^dependant_on is "):
        travel(1, nothing, use_svi=True)


def test_before_it_can_run_a_task_is_looked_at_as_its_claim_will() -> None:
    expected = Continued.expected(["another", PARENT])
    assert travel(1, expected, use_svi=True).params.continue_from == PARENT
    pixels = {"strategy": "prefix_video_source", "overlap_frames": 4}
    assert travel(1, expected, continuation_config=pixels).params.continue_from is None
    assert Continued.expected([]) is None


def test_a_video_source_is_the_predecessors_video() -> None:
    pixels = {"strategy": "prefix_video_source", "overlap_frames": 8}
    parsed = travel(1, LEFT_LATENTS, continuation_config=pixels)
    assert parsed.params.continue_from == "storage://outputs/local/parent/1/video.mp4"
    assert parsed.params.svi2pro is None
    assert parsed.params.model == MODEL
    assert (parsed.params.overlap, parsed.params.num_frames) == (8, 61 + 12)


def test_the_first_segment_continues_nothing() -> None:
    parsed = travel(0, LEFT_LATENTS, use_svi=True)
    assert parsed.params.continue_from is None
    assert (parsed.params.seed, parsed.params.num_frames) == (789, 61)


def test_what_the_segment_says_of_svi_wins() -> None:
    """An orchestrator elsewhere switches SVI off for the first segment, and leaves it on in the details."""
    details = orchestrated(use_svi=True)["orchestrator_details"]
    assert travel(0, None, use_svi=False, svi2pro=False, orchestrator_details=details).params.svi2pro is False
    assert travel(1, LEFT_LATENTS, orchestrator_details=details).params.svi2pro is True


def test_within_one_level_either_field_is_enough() -> None:
    svi = {"strategy": "svi_latent_chaining", "overlap_frames": 8}
    parsed = travel(1, LEFT_LATENTS, use_svi=False, continuation_config=svi)
    assert (parsed.params.svi2pro, parsed.params.overlap, parsed.params.num_frames) == (True, 8, 69)


def test_a_named_video_wins_over_the_dependency() -> None:
    parsed = travel(1, LEFT_LATENTS, use_svi=True, svi_predecessor_video_url=VIDEO)
    assert parsed.params.continue_from == VIDEO
    assert parsed.params.num_frames == 69
    without_end = travel(5, LEFT_LATENTS, use_svi=True, svi_predecessor_video_url=VIDEO, start_image_url=A)
    assert without_end.params.end_image is None
    assert without_end.params.num_frames == 65


def test_without_svi_a_named_video_is_listed() -> None:
    parsed = travel(1, LEFT_LATENTS, svi_predecessor_video_url=VIDEO)
    assert "svi_predecessor_video_url" in parsed.ignored_fields


def test_a_predecessor_that_is_missing_is_asked_for() -> None:
    message = refused(2, use_svi=True)
    assert message == (
        "svi_predecessor_video_url is null: give the video that segment 2 continues, or name the task of "
        "segment 1 in dependant_on."
    )


def test_what_a_segment_lacks_is_looked_up_in_the_details() -> None:
    bare = dict.fromkeys(
        ("base_prompt", "negative_prompt", "num_frames", "segment_frames_target", "seed_to_use"), None
    )
    params = travel(1, None, **bare).params
    assert (params.prompt, params.negative_prompt, params.num_frames, params.seed) == (
        "a journey",
        "blurred",
        49,
        789,
    )
    older = segment(
        0, orchestrator_details=None, full_orchestrator_payload=orchestrated()["orchestrator_details"]
    )
    assert parse_task("travel_segment", older).params.end_image == B


def test_details_are_not_required_where_the_segment_says_everything() -> None:
    parsed = travel(0, None, orchestrator_details=None, start_image_url=A, end_image_url=B)
    assert (parsed.params.start_image, parsed.params.end_image) == (A, B)


def test_details_of_another_task_are_not_looked_up() -> None:
    assert refused(0, orchestrator_details=None) == (
        "start_image_url is null: give the image that segment 0 begins with; details are read from this task "
        "alone."
    )


def test_a_segment_made_again_takes_what_the_form_says() -> None:
    parsed = again()
    params = parsed.params
    assert (params.prompt, params.num_frames, params.seed) == ("over the hills", 49, 12)
    assert (params.start_image, params.end_image) == (B, C)
    assert (params.steps, params.guidance_scale, params.flow_shift) == (6, 1, 5)
    assert params.phase_config is not None
    assert [lora.name for lora in params.loras if lora.strength != 0.0] == [STYLE]


def test_a_segment_at_the_end_has_no_end_image_of_another() -> None:
    """The details still list the images of the whole travel."""
    parsed = again(end_image_url=None, input_image_paths_resolved=[B])
    assert (parsed.params.start_image, parsed.params.end_image) == (B, None)
    listed = again(start_image_url=None, end_image_url=None, input_image_paths_resolved=[A])
    assert (listed.params.start_image, listed.params.end_image) == (A, None)


def test_its_images_may_stand_in_the_task_or_the_details() -> None:
    nowhere: dict[str, Any] = {
        "start_image_url": None,
        "end_image_url": None,
        "input_image_paths_resolved": None,
    }
    top = again(top={"input_image_paths_resolved": [C, A]}, **nowhere)
    assert (top.params.start_image, top.params.end_image) == (C, A)
    details = again(**nowhere)
    assert (details.params.start_image, details.params.end_image) == (B, C)


def test_its_own_seed_is_kept_also_where_it_continues() -> None:
    parsed = again(LEFT_LATENTS, {"use_svi": True})
    assert (parsed.params.seed, parsed.params.continue_from) == (12, PARENT)


def test_it_may_continue_a_video_also_as_the_first() -> None:
    top = {"segment_index": None, "use_svi": True, "svi_predecessor_video_url": VIDEO}
    assert again(None, top).params.continue_from == VIDEO


def test_an_enhanced_prompt_wins_where_it_says_something() -> None:
    assert again(enhanced_prompt="over the high hills").params.prompt == "over the high hills"
    assert again(enhanced_prompt=" ").params.prompt == "over the hills"


def test_any_seed_is_asked_for_with_minus_one() -> None:
    parsed = again(seed_to_use=-1)
    assert parsed.params.seed is None
    assert adjusted(parsed)["individual_segment_params.seed_to_use"] == (-1, None)


def test_strengths_of_svi_act_on_its_loras() -> None:
    params = again(LEFT_LATENTS, {"use_svi": True, "svi_strength_1": 0.8, "svi_strength_2": 0.4}).params
    assert [lora.strength for lora in params.loras] == ["1.2;0.0", "0.8;0", "0;0.4"]
    both = again(LEFT_LATENTS, {"use_svi": True, "svi_strength": 0.5}).params
    assert [lora.strength for lora in both.loras][1:] == ["0.5;0", "0;0.5"]


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"segment_index": None}, "segment_index is null: give the number of the segment, from 0."),
        ({"segment_index": -1}, "segment_index is -1: give"),
        ({"segment_index": True}, "segment_index is true: give"),
        ({"use_svi": "yes"}, 'use_svi is "yes": give true or false.'),
        ({"continuation_config": "svi"}, 'continuation_config is "svi": give an object such as'),
        (
            {"continuation_config": {"strategy": "svi_latent_chaining", "overlap_frames": "4"}},
            'continuation_config.overlap_frames is "4": give a whole number from 0 to 128.',
        ),
        ({"num_frames": 2000}, "num_frames is 2000: give a whole number from 1 to 1025."),
        ({"model_name": "../x"}, 'model_name is "../x": give the id of a model definition'),
        ({"fps_helpers": 0}, "fps_helpers is 0: give a whole number from 1 to 60."),
        ({"num_inference_steps": 1.5}, "num_inference_steps is 1.5: give a whole number from 1 to 100."),
        ({"guidance2_scale": "x"}, 'guidance2_scale is "x": give a number from 0 to 30.'),
        ({"start_image_url": [A, B]}, "start_image_url is a list of 2: give one image"),
        ({"base_prompt": {"text": "x"}}, "base_prompt is an object with 1 fields: give text"),
        ({"individual_segment_params": "x"}, 'individual_segment_params is "x": give an object.'),
        ({"parsed_resolution_wh": [0, 480]}, "parsed_resolution_wh is 0: give a whole number from 64"),
        ({"use_svi": True, "svi_strength": "much"}, 'svi_strength is "much": give a number.'),
    ],
)
def test_a_mistake_is_named_as_it_was_sent(fields: dict[str, Any], message: str) -> None:
    assert message in refused(0, **fields)


def test_a_mistake_inside_a_phase_config_has_its_path() -> None:
    config = phase_config(flow_shift=-1)
    config["phases"][1]["guidance_scale"] = "one"
    with pytest.raises(BadParams) as caught:
        again(phase_config=config)
    assert "individual_segment_params.phase_config.flow_shift is -1: give" in caught.value.message
    assert "individual_segment_params.phase_config.phases[1].guidance_scale is" in caught.value.message


def test_addresses_inside_the_network_stay_unsafe_to_name() -> None:
    with pytest.raises(Unsafe, match=r"^individual_segment_params\.start_image_url is"):
        again(start_image_url="file:///etc/passwd")
