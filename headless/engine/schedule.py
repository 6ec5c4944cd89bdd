"""Noise schedules and solvers: which times the model sees, and how its velocity moves the sample.

A schedule is data; a solver is built from it for one run. UniPC and DPM++ are diffusers' solvers with the
sigmas of the official Wan code put in, which reproduces the official solvers; Euler is one line.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, Final, Protocol

import torch
from diffusers import DPMSolverMultistepScheduler, UniPCMultistepScheduler

TRAIN_STEPS: Final = 1000
UNIPC_TOP: Final = 0.999
"""The official UniPC begins at 1 - 1/1000 before the shift, not at 1."""
WAN2GP_LAST: Final = 0.001
"""Where the Euler grid of old Wan2GP presets ends before the shift: its last forward is all but wasted."""

SOLVERS: Final = ("unipc", "dpm++", "euler", "euler_wan2gp")


@dataclass(frozen=True)
class Schedule:
    """`timesteps` [N] as the model is told them, in 0..1000; `sigmas` [N + 1], falling from about 1 to 0."""

    solver: str
    timesteps: tuple[float, ...]
    sigmas: tuple[float, ...]

    @property
    def steps(self) -> int:
        """Number of forwards (of guided pairs, where guidance is on)."""
        return len(self.timesteps)


def shifted(u: float, shift: float) -> float:
    """The flow shift s: u -> s u / (1 + (s - 1) u) (Wan's `get_sampling_sigmas`)."""
    return shift * u / (1 + (shift - 1) * u)


def make_schedule(solver: str, steps: int, shift: float) -> Schedule:
    """The schedule of a solver. Raises `ValueError` that names the legal values.

    Before the shift u_i = 1 - i/N, then 0. `unipc` scales that by 0.999 as the official solver does;
    `euler_wan2gp` runs evenly from 1 to 0.001 and then to 0.
    """
    if steps < 1:
        raise ValueError(f"steps is {steps}; legal values are 1, 2, 3, ...")
    if not (math.isfinite(shift) and shift > 0):
        raise ValueError(f"flow_shift is {shift}; legal values are above 0")
    return explicit_schedule(solver, [shifted(u, shift) for u in _times(solver, steps)])


def schedule_of(settings: Mapping[str, Any], solver: str, steps: int, shift: float) -> Schedule:
    """The schedule of a request for a model with these settings. Raises `ValueError`.

    `sigmas` of the settings are for models distilled to fixed times. They hold while the request keeps the
    model's number of steps and its flow shift; otherwise the times follow from these two.
    """
    fixed = settings.get("sigmas")
    if fixed and len(fixed) == steps and shift == settings.get("flow_shift", shift):
        return explicit_schedule(solver, [float(sigma) for sigma in fixed])
    return make_schedule(solver, steps, shift)


def _times(solver: str, steps: int) -> list[float]:
    # As NumPy's linspace computes it: the official times are cut to whole numbers, so the last bit counts.
    match solver:
        case "unipc":
            return [i * (-UNIPC_TOP / steps) + UNIPC_TOP for i in range(steps)]
        case "dpm++" | "euler":
            return [i * (-1 / steps) + 1 for i in range(steps)]
        case "euler_wan2gp":
            span = (1 - WAN2GP_LAST) / max(steps - 1, 1)
            return [1 - i * span for i in range(steps)]
    raise ValueError(f"solver is {solver!r}; legal values are {', '.join(SOLVERS)}")


def explicit_schedule(solver: str, sigmas: Sequence[float]) -> Schedule:
    """A schedule with the given sigmas (without the closing 0), for models distilled to fixed times."""
    if solver not in SOLVERS:
        raise ValueError(f"solver is {solver!r}; legal values are {', '.join(SOLVERS)}")
    falling = all(a > b for a, b in pairwise(sigmas))
    if not (sigmas and falling and sigmas[0] <= 1 and sigmas[-1] > 0):
        raise ValueError(f"sigmas are {list(sigmas)}; they must fall, from at most 1 to above 0")
    times = [sigma * TRAIN_STEPS for sigma in sigmas]
    if solver in ("unipc", "dpm++"):
        times = [float(int(time)) for time in times]
    return Schedule(solver, tuple(times), (*sigmas, 0.0))


class Solver(Protocol):
    """One run over a schedule. `advance` is called once per step, in order."""

    def advance(self, velocity: torch.Tensor, step: int, sample: torch.Tensor) -> torch.Tensor:
        """The next sample. `velocity` and `sample` are float tensors of one shape, `step` counts from 0."""


def make_solver(schedule: Schedule) -> Solver:
    """A fresh solver: it holds nothing of any earlier run."""
    match schedule.solver:
        case "unipc":
            scheduler = UniPCMultistepScheduler(**_flow_arguments())
        case "dpm++":
            scheduler = DPMSolverMultistepScheduler(**_flow_arguments())
        case _:
            return EulerSolver(schedule.sigmas)
    return MultistepSolver(scheduler, schedule)


def _flow_arguments() -> dict[str, Any]:
    return {
        "num_train_timesteps": TRAIN_STEPS,
        "prediction_type": "flow_prediction",
        "use_flow_sigmas": True,
        "solver_order": 2,
    }


def inject(scheduler: Any, schedule: Schedule) -> None:
    """Give a fresh diffusers scheduler this schedule. Times and sigmas stay on the CPU."""
    scheduler.num_inference_steps = schedule.steps
    scheduler.timesteps = torch.tensor(schedule.timesteps, dtype=torch.float64).to(torch.int64)
    scheduler.sigmas = torch.tensor(schedule.sigmas, dtype=torch.float64).to(torch.float32)
    scheduler.set_begin_index(0)


class MultistepSolver:
    """UniPC or DPM++ of diffusers, on our schedule."""

    def __init__(self, scheduler: Any, schedule: Schedule) -> None:
        inject(scheduler, schedule)
        self._scheduler = scheduler

    def advance(self, velocity: torch.Tensor, step: int, sample: torch.Tensor) -> torch.Tensor:
        """The next sample."""
        time = self._scheduler.timesteps[step]
        after: torch.Tensor = self._scheduler.step(velocity, time, sample, return_dict=False)[0]
        return after


class EulerSolver:
    """x += (sigma_next - sigma) v."""

    def __init__(self, sigmas: tuple[float, ...]) -> None:
        self._sigmas = sigmas

    def advance(self, velocity: torch.Tensor, step: int, sample: torch.Tensor) -> torch.Tensor:
        """The next sample."""
        return sample + (self._sigmas[step + 1] - self._sigmas[step]) * velocity
