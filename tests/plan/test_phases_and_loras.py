"""Steps, guidance and LoRAs per phase."""

from __future__ import annotations

from typing import Any

import pytest

from headless.errors import BadParams
from tests.plan.conftest import Planner

SVI, BASELINE = "wan_2_2_i2v_lightning_svi_3_3", "wan_2_2_i2v_lightning_baseline_2_2_2"


def config(*steps: int, switch: int | None = None, solver: str | None = None) -> dict[str, Any]:
    phases = [{"phase": n + 1, "guidance_scale": float(n + 1)} for n in range(len(steps))]
    return {
        "num_phases": len(steps),
        "steps_per_phase": list(steps),
        "phases": phases,
        "model_switch_phase": switch,
        "sample_solver": solver,
    }


def test_the_presets_own_split(plan: Planner) -> None:
    svi = plan(model=SVI, start_image="https://h/a.png")
    assert (svi.steps, svi.phase_steps, svi.phase_guidance, svi.high_noise_phases) == (
        6,
        (3, 3),
        (1.0, 1.0),
        1,
    )
    baseline = plan(model=BASELINE)
    assert (baseline.phase_steps, baseline.phase_guidance) == ((2, 2, 2), (3.0, 1.0, 1.0))
    assert baseline.high_noise_phases == 2
    assert (baseline.guidance_scale, baseline.guidance_scale_2) == (3.0, 1.0)


def test_another_number_of_steps_leaves_the_split_to_the_boundary(plan: Planner) -> None:
    assert plan(model=SVI, start_image="https://h/a.png", steps=8).phase_steps is None
    assert plan(model=SVI, start_image="https://h/a.png", steps=6).phase_steps == (3, 3)


def test_the_base_pair_is_split_by_its_boundary(plan: Planner) -> None:
    made = plan(model="i2v_2_2")
    assert (made.phase_steps, made.phase_guidance, made.high_noise_phases) == (None, (3.5, 3.5), 1)


def test_one_expert_has_one_phase(plan: Planner) -> None:
    made = plan(model="i2v_480p", guidance_scale=4)
    assert (made.phase_guidance, made.guidance_scale_2, made.high_noise_phases) == ((4.0,), 4.0, 1)


def test_guidance_of_the_second_phase_follows_the_first(plan: Planner) -> None:
    made = plan(guidance_scale=4, settings={"guidance_scale_2": None})
    assert made.phase_guidance == (4.0, 4.0)


@pytest.mark.parametrize(
    ("given", "split", "guidance", "high"),
    [
        (config(2, 2), (2, 2), (1.0, 2.0), 1),
        (config(2, 2, 2), (2, 2, 2), (1.0, 2.0, 3.0), 2),
        (config(2, 2, 2, switch=1), (2, 2, 2), (1.0, 2.0, 3.0), 1),
        (config(4), None, (1.0, 1.0), 1),
    ],
)
def test_phase_config_decides(
    plan: Planner, given: dict[str, Any], split: Any, guidance: tuple[float, ...], high: int
) -> None:
    made = plan(phase_config=given)
    assert (made.phase_steps, made.phase_guidance, made.high_noise_phases) == (split, guidance, high)
    assert made.steps == sum(given["steps_per_phase"])


def test_three_phases_on_one_expert(plan: Planner) -> None:
    made = plan(model="i2v_480p", phase_config=config(2, 2, 2))
    assert (made.phase_steps, made.high_noise_phases) == ((2, 2, 2), 3)


def test_the_solver(plan: Planner) -> None:
    assert plan(phase_config=config(2, 2, solver="euler")).solver == "euler"
    assert plan(settings={"solver": ""}).solver == "unipc"
    with pytest.raises(
        BadParams, match='model wan_tiny_i2v is set to the solver "lcm", which is none of: unipc'
    ):
        plan(settings={"solver": "lcm"})


def test_the_models_loras_come_first(plan: Planner) -> None:
    made = plan(model=SVI, start_image="https://h/a.png", loras={"mine.safetensors": 0.5})
    assert [lora.of_model for lora in made.loras] == [True, True, True, True, False]
    assert [lora.strengths for lora in made.loras[:2]] == [((1.0,), (0.0,)), ((0.0,), (1.0,))]
    assert (made.loras[4].name, made.loras[4].strengths) == ("mine.safetensors", ((0.5,),))


def test_loras_without_multipliers_act_in_full(plan: Planner) -> None:
    model_def = {"loras": ["a.safetensors", "b.safetensors"], "loras_multipliers": [0.5]}
    assert [lora.strengths for lora in plan(model_def=model_def).loras] == [((0.5,),), ((1.0,),)]


def test_naming_a_lora_of_the_model_sets_its_strength(plan: Planner) -> None:
    model_def = {"loras": ["https://h/a.safetensors", "b.safetensors"], "loras_multipliers": [1, 1]}
    made = plan(model_def=model_def, loras={"a.safetensors": "0;0.5"})
    assert [(lora.name, lora.strengths, lora.of_model) for lora in made.loras] == [
        ("a.safetensors", ((0.0,), (0.5,)), True),
        ("b.safetensors", ((1.0,),), True),
    ]


@pytest.mark.parametrize(
    ("switch", "strengths"), [(2, ((1.0,), (1.0,), (0.0,))), (1, ((1.0,), (0.0,), (0.0,)))]
)
def test_two_entries_in_three_phases_mean_the_experts(plan: Planner, switch: int, strengths: Any) -> None:
    made = plan(phase_config=config(2, 2, 2, switch=switch), loras={"a.safetensors": "1;0"})
    assert made.loras[0].strengths == strengths


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        (
            {"loras": {"a.safetensors": "1;0;1"}},
            "has 3 entries, one per phase; this run has 2 phases: give 1 or 2",
        ),
        ({"model": "i2v_480p", "loras": {"a.safetensors": "1;0"}}, "this run has 1 phase: give 1 entry"),
        ({"steps": 4, "loras": {"a.safetensors": "1,2,3,4,5"}}, "lists 5 values for 4 steps: give at most 4"),
        ({"phase_config": config(1, 3), "loras": {"a.safetensors": "1,0.5;0"}}, "lists 2 values for 1 steps"),
        ({"model_def": {"loras": ["../a.safetensors"]}}, "model wan_tiny_i2v: The LoRA name"),
        ({"model_def": {"loras": ["a.pt"]}}, "model wan_tiny_i2v: The LoRA 'a.pt' is a pickle"),
    ],
)
def test_strengths_that_do_not_fit_the_run(plan: Planner, fields: dict[str, Any], message: str) -> None:
    with pytest.raises(BadParams) as caught:
        plan(**fields)
    assert message in caught.value.message


def test_a_list_over_all_steps_may_be_longer_than_a_phase(plan: Planner) -> None:
    made = plan(phase_config=config(2, 2), loras={"a.safetensors": "1,0.8,0.6,0.4"})
    assert made.loras[0].strengths == ((1.0, 0.8, 0.6, 0.4),)
