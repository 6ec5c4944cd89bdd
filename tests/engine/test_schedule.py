"""Schedules and solvers against trajectories of the official Wan code."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file

from headless.engine.schedule import (
    SOLVERS,
    explicit_schedule,
    make_schedule,
    make_solver,
    shifted,
)

DATA = Path(__file__).resolve().parent.parent / "data" / "schedules"
CASES: dict[str, dict[str, Any]] = json.loads((DATA / "schedules.json").read_text())


@pytest.fixture(scope="module")
def tensors() -> dict[str, torch.Tensor]:
    loaded: dict[str, torch.Tensor] = load_file(DATA / "schedules.safetensors")
    return loaded


def velocity(x: torch.Tensor, time: float) -> torch.Tensor:
    s = torch.tensor(time / 1000, dtype=torch.float32)
    return torch.tanh(0.7 * x + 0.3 * torch.sin(3 * s)) - 0.5 * torch.cos(2 * s) * x


def test_there_are_48_cases() -> None:
    assert len(CASES) == 48
    assert {case["solver"] for case in CASES.values()} == set(SOLVERS)


@pytest.mark.parametrize("name", sorted(CASES))
def test_times_and_sigmas_are_the_official_ones(name: str) -> None:
    case = CASES[name]
    schedule = make_schedule(case["solver"], case["steps"], case["shift"])
    assert schedule.timesteps == pytest.approx(case["timesteps"], rel=1e-9)
    assert schedule.sigmas == pytest.approx(case["sigmas"], rel=1e-6)


@pytest.mark.parametrize("name", sorted(CASES))
def test_trajectories_end_where_the_official_ones_do(name: str, tensors: dict[str, torch.Tensor]) -> None:
    case = CASES[name]
    schedule = make_schedule(case["solver"], case["steps"], case["shift"])
    solver, x = make_solver(schedule), tensors["initial"]
    for step, time in enumerate(schedule.timesteps):
        x = solver.advance(velocity(x, time), step, x)
    error = (x - tensors[name]).abs().max() / tensors[name].abs().max()
    assert error < (1e-6 if case["solver"].startswith("euler") else 1e-4)


def test_four_steps_at_shift_five() -> None:
    times = make_schedule("euler", 4, 5.0).timesteps
    assert times == pytest.approx([1000, 937.5, 833.3333, 625], abs=1e-3)


def test_the_old_euler_grid_ends_at_five() -> None:
    times = make_schedule("euler_wan2gp", 6, 5.0).timesteps
    assert [int(time) for time in times] == [1000, 952, 882, 769, 556, 4]


def test_shift_one_changes_nothing() -> None:
    assert shifted(0.25, 1.0) == 0.25


def test_explicit_sigmas_are_kept() -> None:
    schedule = explicit_schedule("euler", [1.0, 0.9375, 0.8333, 0.625])
    assert schedule.sigmas == (1.0, 0.9375, 0.8333, 0.625, 0.0)
    assert schedule.timesteps[1] == 937.5


@pytest.mark.parametrize(
    ("solver", "steps", "shift", "says"),
    [
        ("heun", 4, 5.0, "legal values are unipc, dpm"),
        ("unipc", 0, 5.0, "steps is 0"),
        ("unipc", 4, 0.0, "flow_shift is 0.0"),
        ("unipc", 4, float("nan"), "flow_shift is nan"),
    ],
)
def test_wrong_values_are_named(solver: str, steps: int, shift: float, says: str) -> None:
    with pytest.raises(ValueError, match=says):
        make_schedule(solver, steps, shift)


@pytest.mark.parametrize("sigmas", [[], [0.5, 0.5], [0.5, 0.6], [1.0, 0.0], [1.2, 0.5]])
def test_sigmas_that_do_not_fall_are_refused(sigmas: list[float]) -> None:
    with pytest.raises(ValueError, match="they must fall"):
        explicit_schedule("unipc", sigmas)


def test_an_unknown_solver_with_explicit_sigmas_is_refused() -> None:
    with pytest.raises(ValueError, match="legal values"):
        explicit_schedule("heun", [1.0, 0.5])
