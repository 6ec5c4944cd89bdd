"""`i2v`, `i2v_22` and `wan_2_2_i2v`: one clip, with its phases and LoRAs in any of their forms."""

from __future__ import annotations

from typing import Any

import pytest

from headless.errors import BadParams, Unsafe
from headless.params import Parsed, parse_task
from headless.params.dialects.lora_lists import DISTILLED
from headless.params.dialects.svi import SVI_LORAS, SVI_MODELS
from headless.settings import ModelFolders
from headless.task import Continued
from headless.wiring import open_registry
from tests.params.dialect_payloads import (
    LEFT_LATENTS,
    MODEL,
    PARENT,
    STYLE,
    A,
    B,
    orchestrated,
    phase_config,
)

OTHER = "other.safetensors"


def clip(task_type: str = "i2v_22", continued: Continued | None = None, **fields: Any) -> Parsed:
    return parse_task(task_type, {"prompt": "a cat", "image_start": A, **fields}, continued)


def refused(**fields: Any) -> str:
    with pytest.raises(BadParams) as caught:
        clip(**fields)
    return caught.value.message


def adjusted(parsed: Parsed) -> dict[str, tuple[object, object]]:
    return {entry.field: (entry.requested, entry.used) for entry in parsed.adjustments}


def loras(parsed: Parsed) -> dict[str, float | str]:
    return {lora.name: lora.strength for lora in parsed.params.loras}


@pytest.mark.parametrize(
    ("task_type", "model"), [("i2v", "i2v_480p"), ("i2v_22", "i2v_2_2"), ("wan_2_2_i2v", "i2v_2_2")]
)
def test_the_task_type_says_the_model_unless_the_task_does(task_type: str, model: str) -> None:
    assert clip(task_type).params.model == model
    assert clip(task_type, model="i2v_720p").params.model == "i2v_720p"
    assert clip(task_type, model_name=MODEL).params.model == MODEL
    assert clip(task_type, model="i2v_14B").params.model == "i2v_480p"


def test_a_model_type_is_a_model_or_a_kind() -> None:
    assert clip(model_type="i2v_720p").params.model == "i2v_720p"
    assert clip(model_type="i2v").params.model == "i2v_2_2"
    assert clip(model="i2v_720p", model_type="i2v_480p").ignored_fields == ("model_type",)
    assert clip(model_type="i2v", seed=1).ignored_fields == ()
    assert 'model_type is "vace": give "i2v", the only kind' in refused(model_type="vace")


def test_a_clip_begins_with_an_image_or_another_clip() -> None:
    assert "image_start is null: give the image that the clip begins with." in refused(image_start=None)
    assert clip(image_start=None, video_source="https://example.org/v.mp4").params.start_image is None
    assert clip(image_start=None, image_refs=[A], use_svi=True).params.anchor_image == A


def test_every_model_that_a_dialect_names_is_shipped() -> None:
    registry = open_registry(ModelFolders(None))
    for model in ("i2v_480p", "i2v_2_2", *SVI_MODELS, *SVI_MODELS.values(), *DISTILLED):
        registry.definition(model)
    for svi in set(SVI_MODELS.values()) - {"wan_tiny_i2v_svi2pro"}:
        assert set(SVI_LORAS) <= set(registry.definition(svi).model_def["loras"])
    for model, own in DISTILLED.items():
        assert set(own) <= set(registry.definition(model).model_def["loras"])


def test_a_clip_with_everything() -> None:
    parsed = clip(
        image_end=[B],
        image_refs=[A],
        resolution=[832, 480],
        video_length=81,
        num_inference_steps=6,
        guidance_scale=1,
        guidance2_scale=1.5,
        flow_shift=5,
        seed=7,
        negative_prompt="blurred",
        fps=24,
        video_prompt_type="I",
        repeat_generation=1,
    )
    params = parsed.params
    assert (params.start_image, params.end_image, params.anchor_image) == (A, B, A)
    assert (params.width, params.height, params.num_frames, params.fps) == (832, 480, 81, 24)
    assert (params.steps, params.guidance_scale, params.guidance_scale_2) == (6, 1, 1.5)
    assert (params.seed, params.negative_prompt) == (7, "blurred")
    assert parsed.ignored_fields == ("repeat_generation", "video_prompt_type")
    assert parsed.adjustments == ()


def test_width_and_height_may_stand_alone_and_any_seed_will_do() -> None:
    parsed = clip(width=640, height=384, seed=-1, steps=4, image_start=None, image_url=B)
    params = parsed.params
    assert (params.width, params.height, params.steps, params.start_image) == (640, 384, 4, B)
    assert adjusted(parsed) == {"seed": (-1, None)}


def test_a_clip_without_a_prompt_runs_and_says_so() -> None:
    parsed = clip(prompt=" ")
    assert parsed.params.prompt == "natural motion"
    assert adjusted(parsed) == {"prompt": ("", "natural motion")}


def test_details_fill_in_what_the_task_does_not_say() -> None:
    details = {"phase_config": phase_config(), "negative_prompt": "blurred", "shot_id": "x"}
    parsed = clip(orchestrator_details=details)
    assert parsed.params.negative_prompt == "blurred"
    assert parsed.params.phase_config is not None
    assert parsed.ignored_fields == ("orchestrator_details.shot_id",)


def test_a_travel_in_a_fast_task_is_a_travel() -> None:
    parsed = parse_task("wan_2_2_i2v", orchestrated())
    assert parsed.params.segments is not None
    assert len(parsed.params.segments) == 2


def test_a_clip_continues_what_it_depends_on_with_svi_alone() -> None:
    assert clip(continued=LEFT_LATENTS).params.continue_from is None
    parsed = clip(continued=LEFT_LATENTS, use_svi=True, num_frames=81)
    assert (parsed.params.continue_from, parsed.params.num_frames) == (PARENT, 85)
    assert parsed.params.model == "i2v_2_2_svi2pro"
    alone = clip(use_svi=True)
    assert (alone.params.continue_from, alone.params.svi2pro) == (None, True)


@pytest.mark.parametrize("name", ["video_source", "continue_from"])
def test_a_video_that_is_named_is_continued(name: str) -> None:
    video = "https://example.org/before.mp4"
    fields: dict[str, Any] = {name: video}
    assert clip(**fields).params.continue_from == video


def test_a_model_without_svi_gets_its_loras() -> None:
    parsed = clip(model="my_finetune", use_svi=True, additional_loras={STYLE: 1})
    assert loras(parsed) == {STYLE: 1, SVI_LORAS[0]: "1.0;0", SVI_LORAS[1]: "0;1.0"}
    assert clip(model="i2v_2_2_svi2pro", use_svi=True).params.loras == ()


def test_a_phase_config_wins_over_flat_fields_which_is_reported() -> None:
    parsed = clip(
        phase_config=phase_config(),
        num_inference_steps=8,
        guidance_scale=1,
        sample_solver="euler",
        flow_shift=3,
    )
    assert (parsed.params.steps, parsed.params.guidance_scale, parsed.params.flow_shift) == (6, 1, 5)
    assert adjusted(parsed) == {"num_inference_steps": (8, 6), "flow_shift": (3, 5.0)}
    assert parsed.ignored_fields == ()
    assert clip(sample_solver="euler", guidance_phases=2).ignored_fields == (
        "guidance_phases",
        "sample_solver",
    )


def test_notes_of_the_frontend_in_a_phase_config_are_listed() -> None:
    config = phase_config(preset_name="mine", sample_solver="")
    config["phases"][0]["note"] = "x"
    config["phases"][0]["loras"][0]["label"] = "Style"
    config["phases"][1].pop("loras")
    parsed = clip(phase_config=config)
    assert parsed.ignored_fields == (
        "phase_config.phases[0].loras[0].label",
        "phase_config.phases[0].note",
        "phase_config.preset_name",
    )
    assert parsed.params.phase_config is not None
    assert parsed.params.phase_config.sample_solver is None
    assert loras(parsed) == {STYLE: "1.2;0.0"}


def test_a_number_of_phases_that_nothing_else_agrees_with_is_corrected() -> None:
    parsed = clip(phase_config=phase_config(num_phases=3))
    assert parsed.params.phase_config is not None
    assert parsed.params.phase_config.num_phases == 2
    assert adjusted(parsed) == {"phase_config.num_phases": (3, 2)}


@pytest.mark.parametrize(
    ("config", "message"),
    [
        ("fast", 'phase_config is "fast": give an object with'),
        ({"num_phases": 2}, "phase_config.steps_per_phase is missing: give"),
        (phase_config(phases=["x", "y"]), 'phase_config.phases[0] is "x": give'),
        (phase_config(sample_solver="causvid"), 'phase_config.sample_solver is "causvid": give one of'),
        (phase_config(steps_per_phase=[3]), "phase_config is inconsistent: steps_per_phase has 1 entries"),
        (
            phase_config(phases=[{"phase": 1, "guidance_scale": 1, "loras": ["a.safetensors"]}] * 2),
            "phase_config.phases[0].loras[0] is",
        ),
    ],
)
def test_a_malformed_phase_config_is_refused(config: Any, message: str) -> None:
    assert message in refused(phase_config=config)


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        ({"additional_loras": {STYLE: 0.5}}, {STYLE: 0.5}),
        ({"loras": [{"path": STYLE, "strength": 0.5}, {"url": OTHER}]}, {STYLE: 0.5, OTHER: 1.0}),
        ({"loras": [STYLE]}, {STYLE: 1.0}),
        ({"activated_loras": [STYLE, OTHER], "loras_multipliers": "0.5 1;0"}, {STYLE: 0.5, OTHER: "1;0"}),
        ({"lora_names": [STYLE, OTHER], "lora_multipliers": [0.5]}, {STYLE: 0.5, OTHER: 1.0}),
        (
            {"lora_names": [STYLE], "lora_multipliers": [{"url": STYLE, "multiplier": "0.3"}]},
            {STYLE: 0.3},
        ),
        ({"lora_multipliers": [{"url": STYLE, "multiplier": "0.3"}]}, {STYLE: 0.3}),
        ({"lora_names": [], "additional_loras": {STYLE: 1}}, {STYLE: 1}),
        ({"segment_loras": [{"path": OTHER, "strength": 2}], "additional_loras": {STYLE: 1}}, {OTHER: 2}),
        ({"segment_loras": [{"path": OTHER}], "phase_config": phase_config()}, {OTHER: 1.0}),
        ({"loras": [{"path": "", "strength": 1}]}, {}),
        ({}, {}),
    ],
)
def test_loras_come_in_many_forms(fields: dict[str, Any], expected: dict[str, float | str]) -> None:
    found = {lora.name: lora.strengths for lora in clip(**fields).params.loras}
    wanted = clip(additional_loras=expected).params.loras
    assert found == {lora.name: lora.strengths for lora in wanted}


def test_loras_that_phase_config_does_not_name_are_reported() -> None:
    same = clip(phase_config=phase_config(), additional_loras={STYLE: 1.2})
    assert loras(same) == {STYLE: "1.2;0.0"}
    assert same.adjustments == ()
    other = clip(phase_config=phase_config(), additional_loras={STYLE: 1.2, OTHER: 1})
    assert adjusted(other) == {"additional_loras": (OTHER, None)}
    none = phase_config(phases=[{"phase": number, "guidance_scale": 1} for number in (1, 2)])
    assert loras(clip(phase_config=none, additional_loras={OTHER: 1})) == {OTHER: 1}


def test_a_phase_config_switches_the_models_distillation_off_unless_it_names_it() -> None:
    high, low = DISTILLED[MODEL]
    parsed = clip(model=MODEL, phase_config=phase_config())
    assert loras(parsed) == {STYLE: "1.2;0.0", high: 0.0, low: 0.0}
    assert adjusted(parsed) == {"model": (f"{MODEL} with its own LoRAs", "without")}
    config = phase_config()
    config["phases"][0]["loras"] = [{"url": high, "multiplier": "1.0"}]
    config["phases"][1]["loras"] = [{"url": low, "multiplier": "1.0"}]
    named = clip(model=MODEL, phase_config=config)
    assert loras(named) == {high: "1.0;0.0", low: "0.0;1.0"}
    assert named.adjustments == ()
    assert loras(clip(model=MODEL, phase_config=phase_config(), use_svi=True)) == {STYLE: "1.2;0.0"}


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"loras": "style"}, 'loras is "style": give {url: strength}, or a list'),
        ({"loras": [7]}, 'loras[0] is 7: give {"path": ..., "strength": ...}.'),
        (
            {"activated_loras": STYLE},
            'activated_loras is "https://example.org/loras/style.safetensors": give a',
        ),
        ({"lora_names": [STYLE], "lora_multipliers": 3}, "lora_multipliers is 3: give a list of strengths"),
        ({"additional_loras": {STYLE: "strong"}}, 'additional_loras[0].strength is "strong"'),
        ({"additional_loras": {STYLE: True}}, "additional_loras[0].strength is true: give"),
        ({"loras": [{"path": "model.ckpt"}]}, 'loras[0].name is "model.ckpt": '),
        ({"resolution": "480"}, 'resolution is "480": give "WIDTHxHEIGHT"'),
        ({"width": 1}, "width is 1: give a whole number from 64 to 2048."),
        ({"video_length": 0.5}, "video_length is 0.5: give a whole number"),
        ({"image_start": ["x", "y"]}, "image_start is a list of 2: give one image"),
        ({"image_end": 7}, "image_end is 7: give"),
        ({"model": 7}, "model is 7: give the id of a model definition"),
    ],
)
def test_a_mistake_is_named_as_it_was_sent(fields: dict[str, Any], message: str) -> None:
    assert message in refused(**fields)


def test_a_lora_that_climbs_is_unsafe() -> None:
    with pytest.raises(Unsafe, match=r"^additional_loras\[0\]\.name is"):
        clip(additional_loras={"../../etc/passwd.safetensors": 1})
    with pytest.raises(Unsafe, match=r"^additional_loras\[0\]\.name is"):
        clip(additional_loras={"../a.safetensors": 1}, use_svi=True, model="my_finetune")


def test_a_secret_in_an_address_is_not_quoted() -> None:
    assert "secret" not in refused(image_start=[A, A], num_frames="x")
