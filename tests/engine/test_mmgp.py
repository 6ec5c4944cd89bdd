"""mmgp through a recorded seam: what is asked of it. It cannot take a network over without CUDA."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import nn

from headless.engine.mmgp_memory import Mmgp
from tests.engine.conftest import ROOT
from tests.engine.test_memory import Net, lora, parts

CPU = torch.device("cpu")


@dataclass
class Recorded:
    """Stands for mmgp's `offload`; computes where the network lies."""

    calls: list[str] = field(default_factory=list)

    def profile(self, pipe: dict[str, nn.Module], profile: int, **settings: Any) -> Held:
        (name,) = pipe
        self.calls.append(f"profile {profile} {name} {settings}")
        # As mmgp does: what is made afterwards lands there.
        torch.set_default_device("meta")
        return Held(name, self)


@dataclass
class Held:
    name: str
    by: Recorded

    def unload_all(self) -> None:
        self.by.calls.append(f"unload {self.name}")

    def release(self) -> None:
        self.by.calls.append(f"release {self.name}")


def fresh(part: str) -> nn.Module:
    return parts()[part]


def test_a_part_is_taken_over_when_it_is_used_unquantised() -> None:
    offload = Recorded()
    memory = Mmgp(parts(), CPU, 4, offload, fresh)
    assert offload.calls == []
    x = torch.ones(1, 4)
    assert torch.equal(memory.use("one")(x), parts()["one"](x))
    assert torch.get_default_device() == CPU
    memory.use("one")
    memory.use("two")
    memory.close()
    taken = "profile 4 {} {{'quantizeTransformer': False}}"
    assert offload.calls == [
        taken.format("one"),
        "unload one",
        taken.format("two"),
        "release one",
        "release two",
    ]


def test_loras_are_baked_before_and_other_ones_into_fresh_weights(tmp_path: Path) -> None:
    offload, x, alone = Recorded(), torch.ones(1, 4), parts()
    first = lora(tmp_path, "blocks.0.0")
    memory = Mmgp(parts(), CPU, 2, offload, fresh)
    with torch.inference_mode():
        memory.bake("one", [(first, 1.0)], also=())
        assert offload.calls == []
        baked = memory.use("one")(x)
        assert not torch.equal(baked, alone["one"](x))
        memory.bake("one", [], also=set(first.deltas))
        assert offload.calls[1:] == ["release one"]
        assert torch.equal(memory.use("one")(x), alone["one"](x))


def test_what_is_float32_on_purpose_is_locked() -> None:
    net = Net()
    net.add_module("norm1", nn.LayerNorm(4))
    memory = Mmgp({"one": net}, CPU, 5, Recorded(), fresh)
    module: Any = memory.use("one")
    assert module.norm1._lock_dtype is torch.float32
    assert not hasattr(module.proj_in, "_lock_dtype")


def run(code: str) -> list[str]:
    ran = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    return ran.stdout.splitlines()


def test_the_real_one_is_imported_when_a_plan_asks_and_then_talks_with_debug() -> None:
    code = (
        "import sys, headless.engine.wan; from headless.engine.mmgp_memory import import_mmgp;"
        "print('mmgp' in sys.modules);"
        "quiet = import_mmgp(False).default_verboseLevel; print('mmgp' in sys.modules);"
        "print(quiet, import_mmgp(True).default_verboseLevel, callable(import_mmgp(True).profile))"
    )
    assert run(code)[-3:] == ["False", "True", "1 2 True"]
