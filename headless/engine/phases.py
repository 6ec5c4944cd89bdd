"""Which expert runs each step, with which guidance: the split of a schedule into phases."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from headless.engine.schedule import Schedule


class Expert(StrEnum):
    """Wan 2.2 has two transformers; every other model runs everything on `HIGH`."""

    HIGH = "high"
    LOW = "low"


@dataclass(frozen=True)
class PhaseRule:
    """One guidance phase: who runs it, and how strongly the prompt pulls (1: no negative forward)."""

    expert: Expert
    guidance: float


@dataclass(frozen=True)
class Step:
    """One step of a run: index `at` of the `of` steps of phase `phase`, both counted from 0."""

    phase: int
    at: int
    of: int
    expert: Expert
    guidance: float


@dataclass(frozen=True)
class PhasePlan:
    """The phases and what splits the steps over them: `steps` where fixed, else the times.

    At `boundary` and above a step belongs to the high-noise expert; at a preset's `threshold` it already
    belongs to the next phase.
    """

    rules: tuple[PhaseRule, ...]
    steps: tuple[int, ...] | None = None
    boundary: float | None = None
    thresholds: tuple[float, ...] = ()

    def lay_out(self, schedule: Schedule) -> tuple[Step, ...]:
        """One entry per step of the schedule. Raises `ValueError` where a fixed split does not add up."""
        phases = (
            self._fixed(schedule.steps) if self.steps else [self._phase_at(t) for t in schedule.timesteps]
        )
        sizes = [phases.count(phase) for phase in range(len(self.rules))]
        return tuple(
            Step(
                phase,
                i - sum(sizes[:phase]),
                sizes[phase],
                self.rules[phase].expert,
                self.rules[phase].guidance,
            )
            for i, phase in enumerate(phases)
        )

    def _fixed(self, steps: int) -> list[int]:
        split = self.steps or ()
        if len(split) != len(self.rules) or sum(split) != steps:
            raise ValueError(
                f"phase_steps is {list(split)}; legal are {len(self.rules)} numbers that add up to {steps}"
            )
        return [phase for phase, count in enumerate(split) for _ in range(count)]

    def _phase_at(self, time: float) -> int:
        if self.thresholds:
            return sum(time <= threshold for threshold in self.thresholds)
        if self.boundary is None or time >= self.boundary:
            return 0
        return len(self.rules) - 1


def plan_phases(
    settings: Mapping[str, Any],
    *,
    guidance_scale: float,
    guidance_scale_2: float,
    phase_steps: Sequence[int] | None,
    experts: int,
    phase_guidance: Sequence[float] | None = None,
    high_noise_phases: int | None = None,
) -> PhasePlan:
    """The phases of a model definition's settings for one request.

    `guidance_phases` (1 to 3, by default one per expert) says how many; after phase `model_switch_phase` the
    low-noise expert takes over. `guidance_scale` is the first phase's, `guidance_scale_2` the second's, and a
    third has the settings' `guidance_scale_3`. `phase_guidance` and `high_noise_phases` of the request win.
    """
    third = float(settings.get("guidance_scale_3", guidance_scale_2))
    scales = tuple(phase_guidance or (guidance_scale, guidance_scale_2, third))
    count = len(scales) if phase_guidance else int(settings.get("guidance_phases") or experts)
    if experts == 1:
        rules = tuple(PhaseRule(Expert.HIGH, scale) for scale in scales[:count])
        return PhasePlan(
            rules, tuple(phase_steps) if phase_steps else None, None, _thresholds(settings, count)
        )
    last_high = int(high_noise_phases or settings.get("model_switch_phase") or max(count - 1, 1))
    rules = tuple(
        PhaseRule(Expert.HIGH if phase < last_high else Expert.LOW, scales[min(phase, len(scales) - 1)])
        for phase in range(max(count, 2))
    )
    return PhasePlan(
        rules,
        tuple(phase_steps) if phase_steps else None,
        float(settings.get("boundary", 900.0)),
        _thresholds(settings, count),
    )


def _thresholds(settings: Mapping[str, Any], count: int) -> tuple[float, ...]:
    named = ("switch_threshold", "switch_threshold2")[: max(count - 1, 0)]
    found = tuple(float(settings[name]) for name in named if settings.get(name))
    return found if len(found) == len(named) else ()
