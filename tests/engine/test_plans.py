"""Which memory plan is chosen, and which comes below it."""

from __future__ import annotations

import pytest
import torch

from headless.engine import attention, plans
from headless.engine.plans import ASKABLE, WORKING_BYTES, MemoryPlan, check_plan, choose_plan, rungs_below
from headless.errors import UsageError
from headless.settings import MEMORY_PLANS
from headless.worker_options import ATTENTION_KERNELS

CPU, GPU = torch.device("cpu"), torch.device("cuda")
GB = 10**9
PAIR = {"high": 29 * GB, "low": 29 * GB, "text_encoder": 11 * GB}


@pytest.mark.parametrize(
    ("free", "plan"),
    [
        (None, MemoryPlan.RESIDENT),
        (140 * GB, MemoryPlan.RESIDENT),
        (69 * GB + WORKING_BYTES, MemoryPlan.SWAP),
        (48 * GB, MemoryPlan.SWAP),
        (29 * GB + WORKING_BYTES, MemoryPlan.STREAM),
        (24 * GB, MemoryPlan.STREAM),
    ],
)
def test_auto_takes_the_highest_plan_that_fits(free: int | None, plan: MemoryPlan) -> None:
    assert choose_plan("auto", PAIR, free) is plan


def test_a_plan_that_is_asked_for_is_taken_whatever_is_free() -> None:
    assert choose_plan("swap", PAIR, 1) is MemoryPlan.SWAP
    assert choose_plan("mmgp:3", PAIR, 1) is MemoryPlan.MMGP_3


def test_the_ladder_ends_with_tiles_and_passes_over_mmgp() -> None:
    assert rungs_below(MemoryPlan.RESIDENT) == [MemoryPlan.SWAP, MemoryPlan.STREAM, MemoryPlan.STREAM_TILES]
    assert rungs_below(MemoryPlan.STREAM_TILES) == []


def test_below_an_mmgp_profile_are_the_smaller_ones() -> None:
    assert rungs_below(MemoryPlan.MMGP_4) == [
        MemoryPlan.MMGP_5,
        MemoryPlan.STREAM,
        MemoryPlan.STREAM_TILES,
    ]


def test_profiles_have_numbers() -> None:
    assert [plan.profile for plan in MemoryPlan] == [None, None, 1, 2, 3, 4, 5, None, None]


def test_mmgp_needs_cuda_and_the_package(monkeypatch: pytest.MonkeyPatch) -> None:
    check_plan("mmgp:5", GPU)
    with pytest.raises(UsageError, match="the device is cpu and mmgp is installed"):
        check_plan("mmgp:5", CPU)
    monkeypatch.setattr(plans, "_mmgp_installed", lambda: False)
    with pytest.raises(UsageError, match="the device is cuda and mmgp is not installed"):
        check_plan("mmgp:5", GPU)


@pytest.mark.parametrize("plan", [plan for plan in ASKABLE if not plan.startswith("mmgp")])
def test_every_other_plan_runs_everywhere(plan: str) -> None:
    check_plan(plan, CPU)


def test_the_command_line_knows_every_plan() -> None:
    assert MEMORY_PLANS == ASKABLE
    assert attention.ASKABLE == ATTENTION_KERNELS
