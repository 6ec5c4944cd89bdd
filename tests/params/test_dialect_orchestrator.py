"""`travel_orchestrator`: one chain of clips between the images of a travel."""

from __future__ import annotations

from typing import Any

import pytest

from headless.errors import BadParams, Unsafe
from headless.params import Parsed, parse_task
from headless.planning.chain_plan import make_chain
from headless.settings import ModelFolders
from headless.wiring import open_registry
from tests.params.dialect_payloads import MODEL, STYLE, A, B, C, orchestrated, phase_config
from wan2gp_patch.frames import Source

SVI = {"strategy": "svi_latent_chaining", "overlap_frames": 4}


def travel(**details: Any) -> Parsed:
    return parse_task("travel_orchestrator", orchestrated(**details))


def refused(**details: Any) -> str:
    with pytest.raises(BadParams) as caught:
        travel(**details)
    return caught.value.message


def adjusted(parsed: Parsed) -> dict[str, tuple[object, object]]:
    return {entry.field: (entry.requested, entry.used) for entry in parsed.adjustments}


def segments(parsed: Parsed) -> list[dict[str, Any]]:
    assert parsed.params.segments is not None
    return [one.model_dump(exclude_none=True) for one in parsed.params.segments]


def test_a_travel_is_one_chain() -> None:
    parsed = travel()
    params = parsed.params
    assert (params.model, params.seed, params.fps, params.width, params.height) == (MODEL, 789, 16, 832, 480)
    assert params.continuation == "last_frame"
    assert segments(parsed) == [
        {"prompt": "to the sea", "num_frames": 61, "start_image": A, "end_image": B},
        {"prompt": "a journey", "negative_prompt": "blurred", "num_frames": 49, "end_image": C},
    ]
    assert params.steps is None
    assert parsed.adjustments == ()


def test_what_nothing_acts_on_is_listed_by_name_and_never_by_value() -> None:
    parsed = travel(surprise={"deep": "secret"}, empty="", nothing=[], blank=" ")
    prefix = "orchestrator_details."
    listed = (
        "frame_overlap_expanded",
        "generation_source",
        "independent_segments",
        "openai_api_key",
        "orchestrator_task_id",
        "run_id",
        "steps",
        "surprise",
    )
    assert parsed.ignored_fields == ("generation_name", *(prefix + name for name in listed))
    assert "secret" not in repr(parsed.ignored_fields)


def test_svi_hands_over_latents_and_each_segment_has_its_image_as_anchor() -> None:
    parsed = travel(continuation_config=SVI)
    assert parsed.params.continuation == "latents"
    assert parsed.params.svi2pro is True
    assert parsed.params.model == "wan_2_2_i2v_lightning_svi_3_3"
    assert parsed.params.overlap == 4
    assert [one.get("anchor_image") for one in segments(parsed)] == [None, B]
    assert adjusted(parsed) == {
        "orchestrator_details.model_name": (MODEL, "wan_2_2_i2v_lightning_svi_3_3"),
        "orchestrator_details.segment_frames_expanded[1]": (49, 53),
    }


@pytest.mark.parametrize(
    ("details", "source", "shown"),
    [
        ({}, Source.LAST_FRAME, [61, 48]),
        ({"use_svi": True}, Source.LATENTS, [61, 48]),
        ({"continuation_config": SVI}, Source.LATENTS, [61, 48]),
        ({"continuation_config": {**SVI, "overlap_frames": 8}}, Source.LATENTS, [61, 48]),
        ({"continuation_config": {"strategy": "prefix_video_source"}}, Source.PIXELS, [61, 48]),
    ],
)
def test_the_images_come_when_the_frontend_expects_them(
    details: dict[str, Any], source: Source, shown: list[int]
) -> None:
    """A segment of 49 frames ends 48 frames after the one before, however many it repeats."""
    params = travel(**details).params
    definition = open_registry(ModelFolders(None)).definition(params.model)
    chain = make_chain(params, definition, seed_source=lambda: 0)
    assert [clip.shown_frames for clip in chain.clips] == shown
    assert [clip.plan.continuation.source for clip in chain.clips] == [Source.NOTHING, source]
    assert [clip.plan.references["end_image"] for clip in chain.clips] == [B, C]


def test_one_image_is_one_clip_without_an_end() -> None:
    params = travel(input_image_paths_resolved=[A], num_new_segments_to_generate=1).params
    assert params.segments is None
    assert params.continuation is None
    assert (params.start_image, params.end_image, params.num_frames) == (A, None, 61)
    assert params.prompt == "to the sea"


def test_a_video_is_extended_towards_the_first_image() -> None:
    video = "https://example.org/before.mp4"
    lists = {
        "base_prompts_expanded": ["on"],
        "negative_prompts_expanded": None,
        "segment_frames_expanded": [61],
    }
    svi = {"continuation_config": SVI, "continue_from_video_resolved_path": video}
    parsed = travel(**lists, **svi, num_new_segments_to_generate=3)
    assert parsed.params.extend_from == video
    assert [(one.get("start_image"), one["end_image"]) for one in segments(parsed)] == [
        (None, A),
        (None, B),
        (None, C),
    ]
    assert [one["num_frames"] for one in segments(parsed)] == [69, 65, 65]
    assert [one["anchor_image"] for one in segments(parsed)] == [A, A, B]
    plain = travel(**lists, continue_from_video_resolved_path=video, num_new_segments_to_generate=None)
    assert [one["num_frames"] for one in segments(plain)] == [61, 61, 61]


def test_prompts_that_were_enhanced_win_and_texts_go_around_them() -> None:
    parsed = travel(
        enhanced_prompts_expanded=["to the wide sea", " "],
        text_before_prompts="Film: ",
        text_after_prompts="!",
    )
    assert [one["prompt"] for one in segments(parsed)] == ["Film: to the wide sea !", "Film: a journey !"]
    assert parsed.params.prompt == "Film: to the wide sea !"


def test_a_travel_without_prompts_runs_and_says_so() -> None:
    parsed = travel(base_prompts_expanded=["", ""], base_prompt="")
    assert [one["prompt"] for one in segments(parsed)] == ["natural motion"] * 2
    name = "orchestrator_details.base_prompts_expanded"
    assert adjusted(parsed) == {f"{name}[{index}]": ("", "natural motion") for index in (0, 1)}


def test_a_list_of_one_holds_for_every_segment() -> None:
    parsed = travel(segment_frames_expanded=[33], base_prompts_expanded=["always"])
    assert [(one["num_frames"], one["prompt"]) for one in segments(parsed)] == [(33, "always")] * 2


def test_entries_of_images_that_were_deleted_are_left_over() -> None:
    parsed = travel(segment_frames_expanded=[33, 37, 41], base_prompts_expanded=["a", "b", "c"])
    assert [one["num_frames"] for one in segments(parsed)] == [33, 37]


def test_a_segment_may_have_loras_of_its_own() -> None:
    own = [{"path": "own.safetensors", "strength": 0.5}]
    parsed = travel(loras_per_segment_expanded=[None, own], additional_loras={STYLE: 1.2})
    assert [(lora.name, lora.strength) for lora in parsed.params.loras] == [(STYLE, 1.2)]
    assert segments(parsed)[1]["loras"] == ({"name": "own.safetensors", "strength": 0.5},)
    assert "loras" not in segments(parsed)[0]


def test_of_a_segments_phase_config_only_its_loras_act() -> None:
    own = phase_config(steps_per_phase=[2, 4])
    parsed = travel(phase_config=phase_config(phases=own["phases"]), phase_configs_expanded=[None, own])
    name = "orchestrator_details.phase_configs_expanded[1]"
    assert adjusted(parsed)[name] == ("an object with 6 fields", "its LoRAs")
    assert segments(parsed)[1]["loras"][0]["name"] == STYLE
    three = phase_config(num_phases=3, steps_per_phase=[1, 1, 1])
    three["phases"] = [*three["phases"], {"phase": 3, "guidance_scale": 1}]
    other = travel(phase_config=phase_config(), phase_configs_expanded=[three, None])
    assert adjusted(other)["orchestrator_details.phase_configs_expanded[0]"][1] is None
    assert "loras" not in segments(other)[0]


def test_the_same_phase_config_once_more_is_nothing_to_report() -> None:
    parsed = travel(phase_config=phase_config(), phase_configs_expanded=[phase_config(), None])
    assert "orchestrator_details.phase_configs_expanded[0]" not in adjusted(parsed)


def test_loras_that_are_switched_off_are_off_in_every_segment() -> None:
    own = [{"path": "own.safetensors", "strength": 0.5}]
    parsed = travel(phase_config=phase_config(), loras_per_segment_expanded=[own, None])
    names = [lora["name"] for lora in segments(parsed)[0]["loras"]]
    assert names[0] == "own.safetensors"
    assert [lora["strength"] for lora in segments(parsed)[0]["loras"]] == [0.5, 0.0, 0.0]


@pytest.mark.parametrize(
    ("details", "message"),
    [
        (
            {"input_image_paths_resolved": None},
            "orchestrator_details.input_image_paths_resolved is null: give a list of images, in order.",
        ),
        (
            {"input_image_paths_resolved": "a.png"},
            'orchestrator_details.input_image_paths_resolved is "a.png": give a list.',
        ),
        (
            {"num_new_segments_to_generate": 3},
            "orchestrator_details.num_new_segments_to_generate is 3: give 2, the number of segments that 3 "
            "images make.",
        ),
        (
            {"segment_frames_expanded": [61, "49"]},
            'orchestrator_details.segment_frames_expanded[1] is "49": give a whole number from 1 to 1025.',
        ),
        (
            {"segment_frames_expanded": [61, 0.5]},
            "orchestrator_details.segment_frames_expanded[1] is 0.5: give a whole number from 1 to 1025.",
        ),
        (
            {"input_image_paths_resolved": [A] * 5, "num_new_segments_to_generate": 4},
            "orchestrator_details.segment_frames_expanded is a list of 2: give 4 entries, one per segment.",
        ),
        (
            {"base_prompts_expanded": ["x", 7]},
            "orchestrator_details.base_prompts_expanded[1] is 7: give text of at most 10000 characters",
        ),
        ({"model_type": "vace"}, 'orchestrator_details.model_type is "vace": give "i2v"'),
        ({"model_name": None}, "orchestrator_details.model_name is missing: give the id of a model"),
        ({"seed_base": "x"}, 'orchestrator_details.seed_base is "x": give a whole number'),
        (
            {"parsed_resolution_wh": "large"},
            'orchestrator_details.parsed_resolution_wh is "large": give "WIDTH',
        ),
        (
            {"continuation_config": {"strategy": "guide_overlap_masked"}},
            'orchestrator_details.continuation_config.strategy is "guide_overlap_masked": give one of '
            '"svi_latent_chaining", "prefix_video_source", "none".',
        ),
        (
            {"input_image_paths_resolved": ["cat.png", B, C]},
            '.input_image_paths_resolved[0] is "cat.png": give',
        ),
    ],
)
def test_a_mistake_is_named_as_it_was_sent(details: dict[str, Any], message: str) -> None:
    assert message in refused(**details)


def test_files_of_the_worker_are_out_of_reach() -> None:
    with pytest.raises(
        Unsafe, match=r"orchestrator_details.input_image_paths_resolved\[2\] is \"/etc/shadow\""
    ):
        travel(input_image_paths_resolved=[A, B, "/etc/shadow"])
    with pytest.raises(Unsafe, match=r"orchestrator_details\.continue_from_video_resolved_path is"):
        travel(continue_from_video_resolved_path="/workspace/a.mp4", num_new_segments_to_generate=None)


def test_details_must_be_an_object() -> None:
    wrong: tuple[Any, ...] = ("{}", [], 7)
    for details in wrong:
        with pytest.raises(BadParams, match=r"orchestrator_details is .*: give an object"):
            parse_task("travel_orchestrator", {"orchestrator_details": details})


def test_more_segments_than_a_chain_may_have_are_refused_at_once() -> None:
    message = refused(input_image_paths_resolved=[A] * 300, num_new_segments_to_generate=None)
    assert "input_image_paths_resolved is a list of 300: give at most 256 segments" in message
