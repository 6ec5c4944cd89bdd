"""Memory plans: what is on the device when, and that LoRAs come and go without a trace."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file
from torch import Tensor, nn

from headless.engine.memory import Memory, Resident
from headless.engine.stream import Stream, block_lists
from headless.engine.swap import Swap
from models.lora import Lora, read_lora, shapes_of

CPU = torch.device("cpu")
Make = Callable[[dict[str, nn.Module]], Memory]
MAKERS: dict[str, Make] = {
    "resident": lambda parts: Resident(parts, CPU),
    "swap": lambda parts: Swap(parts, CPU),
    "stream": lambda parts: Stream(parts, CPU),
}


class Net(nn.Module):
    """Three blocks between two outer layers, like a small transformer."""

    def __init__(self) -> None:
        super().__init__()
        self.proj_in = nn.Linear(4, 4)
        self.blocks = nn.ModuleList(nn.Sequential(nn.Linear(4, 8), nn.Linear(8, 4)) for _ in range(3))
        self.register_buffer("shift", torch.ones(4))

    def forward(self, x: Tensor) -> Tensor:
        x = self.proj_in(x) + self.get_buffer("shift")
        for block in self.blocks:
            x = block(x)
        return x


def parts() -> dict[str, nn.Module]:
    torch.manual_seed(0)
    return {name: Net().requires_grad_(False) for name in ("one", "two")}


def lora(folder: Path, *targets: str, seed: int = 1) -> Lora:
    torch.manual_seed(seed)
    shapes = shapes_of(Net())
    tensors = {}
    for target in targets:
        rows, columns = shapes[f"{target}.weight"]
        tensors[f"transformer.{target}.lora_A.weight"] = torch.randn(2, columns)
        tensors[f"transformer.{target}.lora_B.weight"] = torch.randn(rows, 2)
    path = folder / f"lora{seed}.safetensors"
    save_file(tensors, path)
    return read_lora(path, shapes)


@pytest.fixture(params=list(MAKERS))
def memory(request: pytest.FixtureRequest) -> Memory:
    return MAKERS[request.param](parts())


def test_a_part_computes_what_it_computed_before(memory: Memory) -> None:
    x, alone = torch.ones(1, 4), parts()
    for name in ("one", "two", "one", "one"):
        assert torch.equal(memory.use(name)(x), alone[name](x))


def test_loras_are_baked_exchanged_and_taken_out_exactly(memory: Memory, tmp_path: Path) -> None:
    x, alone = torch.randn(1, 4), parts()
    first, second = lora(tmp_path, "blocks.1.0", "proj_in"), lora(tmp_path, "blocks.2.1", seed=2)
    plain = alone["one"](x)
    with torch.inference_mode():
        memory.bake("one", [(first, 0.5)], also=())
        once = memory.use("one")(x)
        assert not torch.equal(once, plain)
        assert torch.equal(memory.use("one")(x), once)
        memory.bake("one", [(second, 1.0)], also=set(first.deltas))
        assert not torch.equal(memory.use("one")(x), once)
        memory.bake("one", [(first, 0.5)], also=set(second.deltas))
        assert torch.equal(memory.use("one")(x), once)
        memory.bake("one", [], also=set(first.deltas))
        assert torch.equal(memory.use("one")(x), plain)
        assert torch.equal(memory.use("two")(x), alone["two"](x))


def test_every_plan_bakes_to_the_same_bits(tmp_path: Path) -> None:
    x, added = (
        torch.randn(3, 4),
        [(lora(tmp_path, "blocks.0.1", "proj_in"), 0.7), (lora(tmp_path, "blocks.0.1", seed=2), 0.3)],
    )
    results = []
    for make in MAKERS.values():
        memory = make(parts())
        with torch.inference_mode():
            memory.bake("two", added, also=())
            results.append(memory.use("two")(x))
    assert torch.equal(results[0], results[1])
    assert torch.equal(results[0], results[2])


def test_swapping_restores_and_says_so() -> None:
    memory = Swap(parts(), CPU)
    told: list[str] = []
    memory.on_restored("one", lambda: told.append("one"))
    with torch.inference_mode():
        memory.use("one").get_parameter("proj_in.weight").zero_()
        memory.use("one")
        assert told == []
        memory.use("two")
        assert told == ["one"]
        assert memory.use("one").get_parameter("proj_in.weight").abs().sum() > 0


def present(module: nn.Module, masters: dict[str, Tensor]) -> set[str]:
    """Parameters that are not the masters' own memory, so that they were brought."""
    named = module.named_parameters()
    return {name for name, parameter in named if parameter.data_ptr() != masters[name].data_ptr()}


def test_only_one_block_at_a_time_is_there_and_the_rest_of_the_part() -> None:
    loaded = parts()
    memory = Stream(loaded, CPU)
    masters = {name: parameter.data for name, parameter in loaded["one"].named_parameters()}
    seen: list[set[str]] = []
    for block in block_lists(loaded["one"]):
        block.get_submodule("1").register_forward_hook(
            lambda *_: seen.append(present(loaded["one"], masters))
        )
    memory.use("one")(torch.ones(1, 4))
    outer = {"proj_in.weight", "proj_in.bias"}
    expected = [{f"blocks.{i}.{j}.{leaf}" for j in (0, 1) for leaf in ("weight", "bias")} for i in range(3)]
    assert seen == [outer | block for block in expected]
    assert present(loaded["one"], masters) == outer
    memory.use("two")
    assert present(loaded["one"], masters) == set()


def test_a_block_that_failed_leaves_when_the_next_one_comes() -> None:
    loaded, alone = parts(), parts()
    memory = Stream(loaded, CPU)
    handle = loaded["one"].get_submodule("blocks.1.1").register_forward_hook(lambda *_: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        memory.use("one")(torch.ones(1, 4))
    handle.remove()
    x = torch.ones(1, 4)
    assert torch.equal(memory.use("one")(x), alone["one"](x))


def test_a_closed_stream_leaves_a_network_that_runs_by_itself() -> None:
    loaded, alone = parts(), parts()
    memory = Stream(loaded, CPU)
    memory.use("one")
    memory.close()
    assert torch.equal(loaded["one"](torch.ones(1, 4)), alone["one"](torch.ones(1, 4)))


def test_a_network_without_blocks_streams_as_a_whole() -> None:
    linear = nn.Linear(2, 2).requires_grad_(False)
    expected = linear(torch.ones(1, 2))
    assert torch.equal(Stream({"one": linear}, CPU).use("one")(torch.ones(1, 2)), expected)


def test_buffers_follow_the_device() -> None:
    for name, make in MAKERS.items():
        memory = make({"norm": nn.BatchNorm1d(2)})
        assert memory.use("norm").get_buffer("running_mean").device == CPU, name
