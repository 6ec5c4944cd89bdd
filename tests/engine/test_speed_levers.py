"""Attention kernels are tried out; one compiled frame serves every block. On the CPU; a GPU has its own."""

from __future__ import annotations

import os
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from diffusers import WanTransformer3DModel

from headless.engine import attention, loading
from headless.engine.attention import ASKABLE, EXACT, attention_problem, choose_attention, set_attention
from headless.engine.compiled import CACHE_VARIABLE, compile_blocks, keep_compiled, warm_up
from headless.engine.memory import Resident
from headless.engine.stream import Stream
from headless.engine.wan import WanEngine
from headless.errors import UsageError
from models.registry import Registry
from tests.engine.conftest import Heard, ScriptedAllocator, frames_of, picture, request
from tests.tools.constructed import CONSTRUCTED

CPU = torch.device("cpu")
ASKED = request(width=32, height=32, num_frames=5, start_image=picture(32, 32))
SMALL = {"num_attention_heads": 2, "attention_head_dim": 16, "ffn_dim": 32, "text_dim": 8, "in_channels": 16}


def transformer(layers: int = 2, **config: Any) -> WanTransformer3DModel:
    torch.manual_seed(layers)
    model = WanTransformer3DModel(**SMALL, num_layers=layers, **config)
    return model.requires_grad_(False).eval()


def forward(model: torch.nn.Module, width: int = 4) -> torch.Tensor:
    torch.manual_seed(1)
    inputs = {
        "hidden_states": torch.randn(1, 16, 1, 4, width),
        "timestep": torch.tensor([500.0]),
        "encoder_hidden_states": torch.randn(1, 512, 8),
    }
    result: torch.Tensor = model(**inputs, return_dict=False)[0]
    return result


def test_the_probe_passes_over_what_this_machine_lacks() -> None:
    assert choose_attention("auto", CPU, torch.bfloat16) == "native"
    assert attention_problem("_flash_3", CPU, torch.bfloat16) is not None
    assert attention_problem("_native_cudnn", CPU, torch.bfloat16) is not None
    assert attention_problem("_native_math", CPU, torch.float32) is None


def test_a_kernel_that_was_asked_for_and_does_not_work_is_an_error() -> None:
    with pytest.raises(ValueError, match=r"no attention kernel works: .*sage"):
        choose_attention("sage", CPU, torch.bfloat16)
    with pytest.raises(ValueError, match="no attention kernel works"):
        choose_attention("auto", CPU, torch.bfloat16, candidates=("_flash_3",))


@pytest.mark.parametrize("wrong", [float("nan"), 2.0])
def test_a_kernel_that_computes_nonsense_is_passed_over(
    monkeypatch: pytest.MonkeyPatch, wrong: float
) -> None:
    right = attention._attend

    def attend(name: str, *tensors: torch.Tensor) -> torch.Tensor:
        result = right("native", *tensors)
        return result * wrong if name == "_native_cudnn" else result

    monkeypatch.setattr(attention, "_attend", attend)
    assert "off by" in str(attention_problem("_native_cudnn", CPU, torch.float32))
    assert choose_attention("auto", CPU, torch.float32, candidates=EXACT[1:]) == "native"


def test_lossy_kernels_are_for_self_attention_only() -> None:
    assert "sage" in ASKABLE
    assert "sage" not in EXACT
    lossy, exact = transformer(), transformer()
    set_attention([lossy], "sage")
    set_attention([exact], "_native_math")
    for block in lossy.blocks:
        assert block.attn1.processor._attention_backend == "sage"
        assert block.attn2.processor._attention_backend is None
    assert all(block.attn2.processor._attention_backend == "_native_math" for block in exact.blocks)
    assert torch.allclose(forward(exact), forward(transformer()), atol=1e-5)


class Counting:
    """A compiler that compiles nothing and counts the frames it was given."""

    def __init__(self) -> None:
        self.frames = 0

    def __call__(self, graph: torch.fx.GraphModule, inputs: list[torch.Tensor]) -> Callable[..., Any]:
        self.frames += 1
        return graph.forward


@pytest.fixture
def counting() -> Counting:
    torch._dynamo.reset()
    return Counting()


def test_one_frame_serves_every_block_of_both_experts(counting: Counting) -> None:
    high, low, plain = transformer(3), transformer(2), transformer(2)
    compile_blocks([high, low], backend=counting)
    with torch.inference_mode():
        forward(high)
        assert torch.equal(forward(low), forward(plain))
        forward(high)
    assert counting.frames == 1


@pytest.mark.parametrize("plan", [Resident, Stream])
def test_compiled_blocks_run_under_the_memory_plans(
    counting: Counting, plan: type[Resident] | type[Stream]
) -> None:
    model, plain = transformer(3), transformer(3)
    compile_blocks([model], backend=counting)
    memory = plan({"high": model}, CPU)
    with torch.inference_mode():
        for _ in range(2):
            assert torch.equal(forward(memory.use("high")), forward(plain))
    assert counting.frames == 1


@pytest.mark.parametrize(
    "config",
    [
        {},
        {"image_dim": 8, "added_kv_proj_dim": 32},
        {"image_dim": 8, "added_kv_proj_dim": 32, "pos_embed_seq_len": 10},
    ],
    ids=["wan 2.2", "start image", "start and end image"],
)
def test_a_warm_model_compiles_nothing_more(counting: Counting, config: dict[str, Any]) -> None:
    model = transformer(**config)
    compile_blocks([model], backend=counting)
    warm_up(model, frames=1, height=4, width=4)
    assert counting.frames == 1
    if not config:
        with torch.inference_mode():
            forward(model)
        assert counting.frames == 1


@pytest.mark.parametrize("script", [[], ["warming up"]], ids=["as it is", "out of memory"])
def test_a_model_is_warmed_up_at_its_usual_size_when_it_is_loaded(
    counting: Counting, monkeypatch: pytest.MonkeyPatch, registry: Registry, script: list[str]
) -> None:
    monkeypatch.setattr(loading, "compile_blocks", partial(compile_blocks, backend=counting))
    registry.models_def["wan_tiny_i2v"]["settings"] |= {"width": 32, "height": 32, "num_frames": 5}
    script_was, allocator = list(script), ScriptedAllocator(list(script))
    engine = WanEngine(registry, [CONSTRUCTED], device="cpu", compile_blocks=True, allocator=allocator)
    engine.load("wan_tiny_i2v", Heard())
    warm = counting.frames
    assert warm >= 1
    compiled = engine.generate(ASKED, Heard())
    assert counting.frames == warm
    plain = WanEngine(registry, [CONSTRUCTED], device="cpu").generate(ASKED, Heard())
    assert np.array_equal(frames_of(compiled), frames_of(plain))
    assert compiled.details["attention"] == "native"
    assert compiled.details["memory"] == ("resident" if not script_was else "swap")


def test_an_attention_kernel_that_does_not_run_here_is_bad_use(registry: Registry) -> None:
    engine = WanEngine(registry, [CONSTRUCTED], device="cpu", attention="sage")
    with pytest.raises(UsageError, match="--attention sage: no attention kernel works"):
        engine.load("wan_tiny_i2v", Heard())


def test_the_compilers_folder_is_set_unless_the_environment_names_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv(CACHE_VARIABLE, raising=False)
    monkeypatch.setenv(CACHE_VARIABLE, "theirs")
    keep_compiled(tmp_path)
    assert os.environ[CACHE_VARIABLE] == "theirs"
    monkeypatch.delenv(CACHE_VARIABLE)
    keep_compiled(tmp_path)
    assert os.environ[CACHE_VARIABLE] == str(tmp_path)
