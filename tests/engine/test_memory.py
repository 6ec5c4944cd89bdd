"""Memory plans: what is on the device, and the pristine weights."""

from __future__ import annotations

import pytest
import torch

from headless.engine.memory import Memory, MemoryPlan, choose_plan, make_memory

CPU = torch.device("cpu")


def parts() -> dict[str, torch.nn.Module]:
    torch.manual_seed(0)
    return {name: torch.nn.Linear(3, 2).requires_grad_(False) for name in ("one", "two")}


@pytest.fixture(params=list(MemoryPlan))
def memory(request: pytest.FixtureRequest) -> Memory:
    return make_memory(request.param, parts(), CPU)


def test_a_part_computes_what_it_computed_before(memory: Memory) -> None:
    x, alone = torch.ones(1, 3), parts()
    for name in ("one", "two", "one"):
        assert torch.equal(memory.use(name)(x), alone[name](x))


def test_pristine_survives_what_is_written_on_the_device(memory: Memory) -> None:
    before = parts()["one"].get_parameter("weight").clone()
    live = memory.use("one").get_parameter("weight")
    assert torch.equal(memory.pristine("one", "weight"), before)
    with torch.inference_mode():
        live.zero_()
    assert torch.equal(memory.pristine("one", "weight"), before)


def test_swapping_restores_and_says_so() -> None:
    memory = make_memory(MemoryPlan.SWAP, parts(), CPU)
    told: list[str] = []
    memory.on_restored("one", lambda: told.append("one"))
    with torch.inference_mode():
        memory.use("one").get_parameter("weight").zero_()
        memory.use("one")
        assert told == []
        memory.use("two")
        assert told == ["one"]
        assert memory.use("one").get_parameter("weight").abs().sum() > 0


def test_buffers_follow_the_device() -> None:
    module = torch.nn.BatchNorm1d(2)
    memory = make_memory(MemoryPlan.SWAP, {"norm": module}, CPU)
    assert memory.use("norm").get_buffer("running_mean").device == CPU


def test_auto_on_the_cpu_keeps_everything_in_place() -> None:
    assert choose_plan("auto", CPU, 10**15) is MemoryPlan.RESIDENT
    assert choose_plan("swap", CPU, 1) is MemoryPlan.SWAP


@pytest.mark.parametrize(("free", "plan"), [(100, MemoryPlan.RESIDENT), (60, MemoryPlan.SWAP)])
def test_auto_on_a_gpu_measures(monkeypatch: pytest.MonkeyPatch, free: int, plan: MemoryPlan) -> None:
    monkeypatch.setattr(torch.cuda, "mem_get_info", lambda device: (free, 200))
    assert choose_plan("auto", torch.device("cuda"), 64) is plan
