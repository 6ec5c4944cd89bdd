"""The benchmarks of a GPU, run for real on the CPU with small networks. Nothing here looks at a time."""

from __future__ import annotations

import importlib
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any, Protocol

import pytest
import torch
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils.flop_counter import FlopCounterMode

from benchmarks.dit_gpu import difference, inputs
from benchmarks.gpu.capped import Capped
from benchmarks.gpu.ceilings import Ceilings, Forward
from benchmarks.gpu.clock import Pairs, interleaved
from benchmarks.gpu.device import NO_GPU
from benchmarks.gpu.networks import FULL, TINY, TOKENS, Sizes, transformer, twin

ROOT = Path(__file__).resolve().parents[2]
CPU = torch.device("cpu")
SCRIPTS = ("dit_gpu", "vae_gpu", "job_gpu", "memory_gpu")


class Run(Protocol):
    """Runs a script's `main` with these arguments; its exit status and its last line."""

    def __call__(self, script: str, *arguments: str) -> tuple[int, Any]: ...


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Run:
    """In this process: importing torch takes longer than all of these."""

    def ran(script: str, *arguments: str) -> tuple[int, Any]:
        monkeypatch.setattr(sys, "argv", [f"{script}.py", *arguments, "--json"])
        status = importlib.import_module(f"benchmarks.{script}").main()
        return status, json.loads(capsys.readouterr().out.splitlines()[-1])

    return ran


def small(size: str = "32x48", frames: int = 5) -> list[str]:
    return ["--tiny", "--device", "cpu", "--size", size, "--frames", str(frames), "--pairs", "1"]


def check_head(told: Any, benchmark: str) -> None:
    assert (told["benchmark"], told["tiny"]) == (benchmark, True)
    assert {"cpu", "load", "torch", "diffusers", "device", "threads"} <= set(told["machine"])
    assert told.get("targets_met") is None, "small networks prove nothing"


def test_a_forward(run: Run) -> None:
    status, told = run("dit_gpu", *small(), "--compile", "eager")
    assert status == 0
    check_head(told, "dit_gpu")
    assert told["equal"] is True
    assert told["difference"] == 0.0
    assert told["attention"] == "native"
    assert min(told["ours_s"], told["diffusers_s"], told["floor_s"], *told["ceilings"].values()) > 0
    assert told["kernels"]
    assert all(0 <= kernel["share"] <= 1 for kernel in told["kernels"])


def test_the_vae(run: Run) -> None:
    status, told = run("vae_gpu", *small("16x16", 13), "--dtype", "float32")
    assert status == 0
    check_head(told, "vae_gpu")
    assert [row["clip"] for row in told["encode"]] == ["start + grey", "start + grey + end", "moving"]
    assert all(row["equal"] for row in (*told["encode"], told["decode"]))
    assert told["layouts"]["difference"] < 1e-4


def test_a_clip_too_short_for_these_is_refused(run: Run, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        run("vae_gpu", *small("16x16", 9))
    assert "--frames is 9; legal are 13, 17, 21, ..." in capsys.readouterr().err


@pytest.mark.parametrize("more", [("--dtype", "float32"), ("--dtype", "bfloat16", "--end")])
def test_a_job(run: Run, more: tuple[str, ...]) -> None:
    status, told = run("job_gpu", *small(), "--compile", "off", *more)
    assert status == 0
    check_head(told, "job_gpu")
    assert told["equal"] is True
    assert told["difference"] == 0.0
    assert told["images"] == ("start and last" if "--end" in more else "start")
    assert set(told["stages"]["ours"]) == {"text", "conditioning", "denoising", "decoding"}
    assert set(told["stages"]["diffusers"]) == {"conditioning", "denoising", "decoding"}
    assert told["denoising_over_floor"] > 0


def test_memory_under_caps(run: Run) -> None:
    """Beside the engine's 10 GB of room to work, the first cap has room for no part, the second for all."""
    status, told = run("memory_gpu", *small(), "--caps", "10.0001,11")
    assert status == 0
    check_head(told, "memory_gpu")
    assert [row["plan"] for row in told["caps"]] == ["stream", "resident"]
    assert all(row["equal"] is True and row["steps_down"] == [] for row in told["caps"])


@pytest.mark.parametrize("script", SCRIPTS)
def test_without_a_gpu_it_says_so(
    script: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.setattr(sys, "argv", [script, "--json"])
    with pytest.raises(SystemExit) as ended:
        importlib.import_module(f"benchmarks.{script}").main()
    said = capsys.readouterr()
    assert ended.value.code == NO_GPU
    assert f"{script}.py needs a GPU" in said.err
    assert "--tiny --device cpu" in said.err
    assert json.loads(said.out)["needs"] == "GPU"


def test_a_gpu_that_is_too_small_is_no_gpu(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "mem_get_info", lambda _: (24 * 10**9, 25 * 10**9))
    monkeypatch.setattr(sys, "argv", ["dit_gpu"])
    with pytest.raises(SystemExit) as ended:
        importlib.import_module("benchmarks.dit_gpu").main()
    assert ended.value.code == NO_GPU
    assert "45 GB must be free on it, and 24 GB are" in capsys.readouterr().err


def test_full_size_on_the_cpu_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "argv", ["dit_gpu", "--device", "cpu"])
    with pytest.raises(SystemExit) as ended:
        importlib.import_module("benchmarks.dit_gpu").main()
    assert ended.value.code == NO_GPU


def test_from_a_checkout() -> None:
    command = [sys.executable, "benchmarks/dit_gpu.py"]
    hidden = {**os.environ, "CUDA_VISIBLE_DEVICES": ""}
    ran = subprocess.run(command, capture_output=True, text=True, cwd=ROOT, check=False, env=hidden)
    assert ran.returncode == NO_GPU
    assert "needs a GPU" in ran.stderr


def counted(layers: int, latents: tuple[int, int, int]) -> int:
    """Operations of a forward, counted as it runs: in attention too, where it is plain products."""
    sizes = Sizes({**TINY.transformer, "num_layers": layers}, {}, {}, TINY.text_width)
    module = transformer(sizes, CPU, torch.float32)
    plain = sdpa_kernel(SDPBackend.MATH)
    with torch.inference_mode(), plain, FlopCounterMode(display=False) as counter:
        module(**inputs(module, latents, CPU), return_dict=False)
    return int(counter.get_total_flops())


def test_the_operations_are_those_of_the_layers() -> None:
    latents = (2, 4, 6)
    expected = [Forward.of(_config(layers), latents, TOKENS) for layers in (1, 3)]
    one, three = (work.matmul + work.attention for work in expected)
    assert counted(3, latents) - counted(1, latents) == three - one


def _config(layers: int) -> Any:
    return transformer(
        Sizes({**TINY.transformer, "num_layers": layers}, {}, {}, 32), CPU, torch.float32
    ).config


def test_a_forward_of_full_size() -> None:
    """As the engine's design reckons: 1.68 PFLOP at 480p, 6.52 at 720p."""
    config = type("Config", (), FULL.transformer)
    work = [Forward.of(config, latents, TOKENS) for latents in ((21, 60, 104), (21, 90, 160))]
    petaflop = [round((one.matmul + one.attention) / 1e15, 2) for one in work]
    assert petaflop == [1.68, 6.52]
    assert work[0].floor(Ceilings(790e12, 640e12, 1.0)) == pytest.approx(2.4, abs=0.1)


def test_twins_share_their_weights() -> None:
    one = transformer(TINY, CPU, torch.float32)
    other = twin(one)
    assert other is not one
    pairs = zip(one.parameters(), other.parameters(), strict=True)
    assert all(a.data_ptr() == b.data_ptr() for a, b in pairs)


def test_islands_stay_float32() -> None:
    module = transformer(TINY, CPU, torch.bfloat16)
    types = {name: parameter.dtype for name, parameter in module.named_parameters()}
    assert types["blocks.0.scale_shift_table"] is torch.float32
    assert types["blocks.0.attn1.to_q.weight"] is torch.bfloat16


def test_what_is_not_finite_is_no_small_difference() -> None:
    good = torch.ones(3)
    assert difference(good, good) == 0.0
    assert difference(torch.tensor([1.0, float("nan"), 1.0]), good) is None


def test_sides_take_turns() -> None:
    order: list[str] = []
    interleaved(lambda: order.append("ours"), lambda: order.append("theirs"), 2, CPU)
    assert order == ["ours", "theirs", "ours", "theirs", "theirs", "ours"]
    assert Pairs((1.0, 2.0, 1.0), (3.0, 3.0, 1.0)).ratio == 1.5


def test_a_cap_is_what_is_free() -> None:
    assert Capped(CPU, 123).free() == 123
