"""The engine with a team: what it makes is what it makes alone, and what fails on one rank fails on all."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file

from headless.engine.loading import load_experts
from headless.engine.memory import Memory
from headless.engine.team import Alone, Team
from headless.engine.wan import WanEngine
from headless.errors import BadParams, Cancelled, InternalError, OutOfMemory, RankLost
from headless.segment import Clip, LoraUse, SegmentRequest
from headless.task import Phase
from models.registry import Registry
from tests.engine.conftest import Heard, ScriptedAllocator, frames_of, request
from tests.parallel.ranks import crew
from tests.tools.constructed import CONSTRUCTED

LAYER = "diffusion_model.blocks.0.self_attn.q"
ASKED = request(width=80, height=48, num_frames=9, start_image=None, anchor_image=None, guidance_scale=3.0)
Made: TypeAlias = tuple[torch.Tensor, Clip, dict[str, Any]]


def engine(registry: Registry, team: Team | None = None, **options: Any) -> WanEngine:
    return WanEngine(registry, [CONSTRUCTED], device="cpu", team=team, **options)


def make(by: WanEngine, asked: SegmentRequest, folder: Path) -> Made:
    """Latents, frames and details of a clip."""
    generation = by.generate(asked, Heard())
    assert generation.save_sampled is not None
    generation.save_sampled(folder / "latents.safetensors")
    latents = load_file(folder / "latents.safetensors")["latents"]
    return latents, frames_of(generation), dict(generation.details)


def same(one: Made, other: Made) -> bool:
    return torch.equal(one[0], other[0]) and np.array_equal(one[1], other[1])


def lora(path: Path, seed: int = 0) -> LoraUse:
    """A LoRA for both experts, whose strength changes from phase to phase."""
    random = torch.Generator().manual_seed(seed)
    pair = {"A": torch.randn(4, 160, generator=random), "B": torch.randn(160, 4, generator=random)}
    save_file({f"{LAYER}.lora_{side}.weight": tensor for side, tensor in pair.items()}, path)
    return LoraUse(path.name, path, ((0.5,), (0.25,)))


@pytest.mark.parametrize("size", [2, 3])
def test_a_clip_of_several_ranks_is_that_of_one(registry: Registry, tmp_path: Path, size: int) -> None:
    alone = make(engine(registry), ASKED, tmp_path)
    assert alone[2]["ranks"] == 1
    with crew(size) as team:
        together = make(engine(registry, team.leader), ASKED, tmp_path)
    assert same(together, alone)
    assert together[2]["ranks"] == size


@pytest.mark.parametrize("plan", ["swap", "stream"])
def test_under_the_memory_plans_with_loras_on_every_rank(
    registry: Registry, tmp_path: Path, plan: str
) -> None:
    asked = request(loras=(lora(tmp_path / "style.safetensors"),), width=48, height=48, num_frames=5)
    plain = make(engine(registry), request(width=48, height=48, num_frames=5), tmp_path)
    alone = make(engine(registry), asked, tmp_path)
    with crew() as team:
        by = engine(registry, team.leader, memory=plan)
        assert same(make(by, asked, tmp_path), alone)
        assert same(make(by, asked, tmp_path), alone)
        assert same(make(by, request(width=48, height=48, num_frames=5), tmp_path), plain)
    assert not same(plain, alone)


def test_memory_that_runs_out_on_another_rank_takes_all_one_plan_down(
    registry: Registry, tmp_path: Path
) -> None:
    alone = make(engine(registry), ASKED, tmp_path)
    with crew(2, ScriptedAllocator(["loading", "running"])) as team:
        made = make(engine(registry, team.leader), ASKED, tmp_path)
    assert same(made, alone)
    assert made[2]["memory"] == "stream"
    assert made[2]["memory_steps_down"] == [
        {"from": "resident", "to": "swap", "while": "loading"},
        {"from": "swap", "to": "stream", "while": "step 1"},
    ]


def test_memory_that_runs_out_on_rank_0_takes_all_one_plan_down(registry: Registry, tmp_path: Path) -> None:
    alone = make(engine(registry), ASKED, tmp_path)
    with crew() as team:
        by = engine(registry, team.leader, allocator=ScriptedAllocator(["loading", "step 3"]))
        made = make(by, ASKED, tmp_path)
    assert same(made, alone)
    assert made[2]["memory"] == "stream"


def test_memory_that_never_suffices_on_another_rank_is_said_so(registry: Registry) -> None:
    with (
        crew(2, ScriptedAllocator(["loading"] * 4)) as team,
        pytest.raises(OutOfMemory, match="while loading, under every memory plan"),
    ):
        engine(registry, team.leader).load("wan_tiny_i2v", Heard())


@pytest.mark.parametrize("sick", [0, 1], ids=["rank 0", "the other rank"])
def test_an_error_in_the_middle_of_a_forward_ends_it_on_every_rank(
    registry: Registry, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, sick: int
) -> None:
    """The other rank waits for an exchange then, and must not wait for ever."""
    failures = [RuntimeError("no such kernel")]

    def fail_once(*_: object) -> None:
        if failures:
            raise failures.pop()

    def load_sick(*arguments: Any) -> tuple[Memory, Any]:
        memory, bakery = load_experts(*arguments)
        if sick == 1:
            memory.module("high").get_submodule("blocks.1").register_forward_pre_hook(fail_once)
        return memory, bakery

    monkeypatch.setattr("headless.engine.follower.load_experts", load_sick)
    with crew() as team:
        by = engine(registry, team.leader)
        by.load("wan_tiny_i2v", Heard())
        if sick == 0:
            ladder: Any = by._ladder
            module = ladder.loaded.memory.module("high")
            module.get_submodule("blocks.1").register_forward_pre_hook(fail_once)
        kind = RuntimeError if sick == 0 else InternalError
        with pytest.raises(kind, match="no such kernel"):
            make(by, ASKED, tmp_path)
        assert same(make(by, ASKED, tmp_path), make(engine(registry), ASKED, tmp_path))


def test_a_cancel_between_steps_leaves_every_rank_ready(registry: Registry, tmp_path: Path) -> None:
    def cancel(event: str) -> None:
        if event == "step 2":
            raise Cancelled("The task was cancelled.")

    with crew() as team:
        by = engine(registry, team.leader)
        with pytest.raises(Cancelled):
            by.generate(ASKED, Heard(on=cancel))
        assert same(make(by, ASKED, tmp_path), make(engine(registry), ASKED, tmp_path))


def test_a_lora_that_changes_under_a_task_is_not_used_on_some_ranks_only(
    registry: Registry, tmp_path: Path
) -> None:
    use = lora(tmp_path / "style.safetensors")

    def change(event: str) -> None:
        if event == Phase.DENOISING.value:
            status = use.path.stat()
            os.utime(use.path, ns=(status.st_atime_ns, status.st_mtime_ns + 1))

    with crew() as team:
        by = engine(registry, team.leader)
        with pytest.raises(BadParams, match=r"Rank 1: loras: style\.safetensors was changed"):
            by.generate(request(loras=(use,)), Heard(on=change))


def test_a_model_switch_is_everybodys(registry: Registry, tmp_path: Path) -> None:
    svi = request(model="wan_tiny_i2v_svi2pro", num_frames=5)
    with crew() as team:
        by = engine(registry, team.leader)
        by.load("wan_tiny_i2v", Heard())
        assert same(make(by, svi, tmp_path), make(engine(registry), svi, tmp_path))


def test_alone_is_a_team_too() -> None:
    called: list[Callable[..., Any]] = []
    team = Alone()
    module = torch.nn.Identity()
    team.split(module, "high")
    with team.together({"do": "release"}):
        called.append(module.forward)
    assert (team.size, called) == (1, [module.forward])


def test_a_lost_rank_is_lost_for_good(registry: Registry) -> None:
    with crew() as team:
        team.leader.dismiss()
        assert team.gone()
        # The thread has ended, and with it goes what the rank held.
        team.links = team.links[:1]
        by = engine(registry, team.leader)
        for _ in range(2):
            with pytest.raises(RankLost, match="has died or no longer answers"):
                by.load("wan_tiny_i2v", Heard())
