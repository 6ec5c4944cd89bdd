"""Which expert runs which step."""

from __future__ import annotations

from collections.abc import Mapping

import pytest

from headless.engine.phases import Expert, PhasePlan, PhaseRule, plan_phases
from headless.engine.schedule import make_schedule

HIGH_LOW = (PhaseRule(Expert.HIGH, 3.5), PhaseRule(Expert.LOW, 1.0))


def experts(plan: PhasePlan, solver: str, steps: int, shift: float) -> str:
    return "".join(step.expert[0] for step in plan.lay_out(make_schedule(solver, steps, shift)))


def plan(settings: Mapping[str, object], split: tuple[int, ...] | None = None, count: int = 2) -> PhasePlan:
    return plan_phases(settings, guidance_scale=3.0, guidance_scale_2=1.5, phase_steps=split, experts=count)


def test_high_noise_runs_at_the_boundary_and_above() -> None:
    assert experts(PhasePlan(HIGH_LOW, boundary=900.0), "euler", 4, 3.0) == "hhll"  # 1000, 900, 750, 500
    assert experts(PhasePlan(HIGH_LOW, boundary=900.1), "euler", 4, 3.0) == "hlll"


def test_the_official_unipc_begins_just_under_the_boundary_that_euler_meets() -> None:
    assert experts(PhasePlan(HIGH_LOW, boundary=900.0), "unipc", 4, 3.0) == "hlll"  # 999, 899, 749, 499


def test_a_preset_threshold_goes_low_at_equality() -> None:
    assert experts(PhasePlan(HIGH_LOW, thresholds=(900.0,)), "euler", 4, 3.0) == "hlll"
    assert experts(PhasePlan(HIGH_LOW, thresholds=(899.9,)), "euler", 4, 3.0) == "hhll"


def test_the_old_two_two_two_preset() -> None:
    settings = {
        "guidance_phases": 3,
        "model_switch_phase": 2,
        "switch_threshold": 883,
        "switch_threshold2": 558,
        "guidance_scale_3": 1.0,
    }
    steps = plan(settings).lay_out(make_schedule("euler_wan2gp", 6, 5.0))
    assert [step.phase for step in steps] == [0, 0, 1, 1, 2, 2]
    assert "".join(step.expert[0] for step in steps) == "hhhhll"
    assert [step.guidance for step in steps] == [3.0, 3.0, 1.5, 1.5, 1.0, 1.0]
    assert [(step.at, step.of) for step in steps] == [(0, 2), (1, 2)] * 3


def test_a_fixed_split_overrules_the_times() -> None:
    assert experts(plan({"boundary": 900, "guidance_phases": 2}, (3, 3)), "euler", 6, 5.0) == "hhhlll"
    assert experts(plan({"boundary": 900, "guidance_phases": 2}, (1, 5)), "euler", 6, 5.0) == "hlllll"


@pytest.mark.parametrize("split", [(3, 2), (2, 2, 2), (6,)])
def test_a_split_that_does_not_add_up_is_refused(split: tuple[int, ...]) -> None:
    with pytest.raises(ValueError, match="legal are 2 numbers that add up to 6"):
        plan({"guidance_phases": 2}, split).lay_out(make_schedule("euler", 6, 5.0))


def test_one_expert_runs_everything_with_the_first_guidance() -> None:
    steps = plan({"guidance_phases": 1}, count=1).lay_out(make_schedule("unipc", 5, 5.0))
    assert {(step.expert, step.guidance, step.phase) for step in steps} == {(Expert.HIGH, 3.0, 0)}


def test_two_experts_have_two_phases_whatever_the_settings_say() -> None:
    assert experts(plan({}), "euler", 4, 5.0) == "hhll"
    assert experts(plan({"guidance_phases": 1}), "euler", 4, 5.0) == "hhll"


def test_the_requests_own_phases_win() -> None:
    settings = {"guidance_phases": 3, "model_switch_phase": 2, "boundary": 900}

    def rules(*guidance: float) -> list[tuple[str, float]]:
        plan = plan_phases(
            settings,
            guidance_scale=9.0,
            guidance_scale_2=9.0,
            phase_steps=None,
            experts=2,
            phase_guidance=guidance,
            high_noise_phases=1,
        )
        return [(rule.expert.value, rule.guidance) for rule in plan.rules]

    assert rules(4.0) == [("high", 4.0), ("low", 4.0)]
    assert rules(4.0, 1.0) == [("high", 4.0), ("low", 1.0)]


def test_a_shift_that_leaves_no_step_to_an_expert_is_allowed() -> None:
    assert experts(plan({"boundary": 1.0}), "euler", 3, 5.0) == "hhh"
