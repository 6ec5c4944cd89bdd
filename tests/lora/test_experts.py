"""LoRAs in a running engine: per phase, per step, exactly gone afterwards."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from headless.engine.experts import Experts
from headless.engine.phases import Expert, Step
from headless.engine.wan import WanEngine
from headless.errors import BadParams, Cancelled
from headless.segment import LoraUse
from models.lora import Lora, Shapes, bake
from models.registry import load_models_def
from tests.engine.conftest import ROOT, Heard, frames_of, request
from tests.lora.conftest import DIALECTS, LINEAR
from tests.tools.constructed import CONSTRUCTED

Pairs = dict[str, tuple[torch.Tensor, torch.Tensor]]
Use = Callable[..., LoraUse]

BAKES = ("headless.engine.memory.bake", "headless.engine.swap.bake")
"""Where the plans of these tests write LoRAs into weights."""


@pytest.fixture(params=["resident", "swap"])
def engine(request: pytest.FixtureRequest) -> WanEngine:
    registry = load_models_def(ROOT / "configs")
    engine = WanEngine(registry, [CONSTRUCTED], device="cpu", memory=request.param)
    engine.load("wan_tiny_i2v", Heard())
    return engine


@pytest.fixture
def lora(tmp_path: Path, pairs: Pairs) -> Use:
    def make(*strengths: tuple[float, ...], name: str = "style", scale: float = 1.0) -> LoraUse:
        path = tmp_path / f"{name}.safetensors"
        if not path.exists():
            write, _ = DIALECTS["DiffSynth and SVI"]
            parts = (write(module, LINEAR[module], down, up * scale) for module, (down, up) in pairs.items())
            save_file({key: t.contiguous() for part in parts for key, t in part.items()}, path)
        return LoraUse(path.name, path, strengths or ((1.0,),))

    return make


def fingerprint(engine: WanEngine) -> dict[Expert, str]:
    """Hash of every parameter of both experts, wherever they are."""
    memory, found = engine._in_memory().memory, {}
    for expert in Expert:
        digest = hashlib.sha256()
        for name, parameter in memory.module(expert.value).named_parameters():
            digest.update(name.encode() + parameter.detach().contiguous().view(torch.uint8).numpy().tobytes())
        found[expert] = digest.hexdigest()
    return found


def run(
    engine: WanEngine, *loras: LoraUse, **changes: object
) -> np.ndarray[tuple[int, ...], np.dtype[np.uint8]]:
    return frames_of(engine.generate(request(loras=loras, **changes), Heard()))


def test_a_lora_changes_the_clip_and_is_gone_from_the_next_job(engine: WanEngine, lora: Use) -> None:
    pristine, plain = fingerprint(engine), run(engine)
    assert not np.array_equal(run(engine, lora()), plain)
    assert np.array_equal(run(engine), plain)
    assert fingerprint(engine) == pristine


def test_zero_strength_is_no_lora(engine: WanEngine, lora: Use) -> None:
    pristine, plain = fingerprint(engine), run(engine)
    assert np.array_equal(run(engine, lora((0.0,))), plain)
    assert fingerprint(engine) == pristine


def test_strengths_belong_to_phases(engine: WanEngine, lora: Use) -> None:
    plain, high, low, both = (
        run(engine, *use)
        for use in ((), (lora((1.0,), (0.0,)),), (lora((0.0,), (1.0,)),), (lora((1.0,), (1.0,)),))
    )
    clips = [plain, high, low, both]
    assert all(not np.array_equal(a, b) for i, a in enumerate(clips) for b in clips[:i])
    assert np.array_equal(run(engine, lora((1.0,))), both)


def test_a_lora_is_baked_only_into_the_expert_that_uses_it(engine: WanEngine, lora: Use) -> None:
    pristine = fingerprint(engine)
    run(engine, lora((1.0,), (0.0,)))
    after = fingerprint(engine)
    assert after[Expert.LOW] == pristine[Expert.LOW]
    if engine._in_memory().plan == "resident":
        assert after[Expert.HIGH] != pristine[Expert.HIGH]


def test_strengths_may_change_within_a_phase(engine: WanEngine, lora: Use) -> None:
    plain, pristine = run(engine), fingerprint(engine)
    ramp = run(engine, lora((1.0, 0.5), (0.25, 0.0)))
    flat = run(engine, lora((1.0, 1.0), (0.25, 0.25)))
    assert not np.array_equal(ramp, flat)
    assert np.array_equal(run(engine), plain)
    assert fingerprint(engine) == pristine


def test_many_jobs_leave_no_drift(engine: WanEngine, lora: Use) -> None:
    pristine = fingerprint(engine)
    for strength in (1.0, -0.7, 0.3):
        run(engine, lora((strength,)), lora((0.9,), name="other", scale=-2.0))
    run(engine)
    assert fingerprint(engine) == pristine


def test_half_precision_weights_come_back_exactly(lora: Use) -> None:
    from headless.engine.experts import Bakery
    from headless.engine.memory import Resident
    from models.lora import read_lora, shapes_of
    from models.weights import load_transformer
    from tests.tools.constructed import TINY

    model = load_transformer(TINY / "transformer", dtype=torch.bfloat16, device=torch.device("cpu"))
    before = {name: p.clone() for name, p in model.named_parameters()}
    memory = Resident({Expert.HIGH.value: model}, torch.device("cpu"))
    bakery = Bakery(memory, [Expert.HIGH])
    style = read_lora(lora().path, shapes_of(model))
    key = ((("style", 1, 1, 1), 0.8),)
    bakery.expert(Expert.HIGH, key, lambda: [(style, 0.8)])
    name = "proj_out.weight"
    exact = before[name].float() + style.deltas[name].of(before[name].shape, torch.device("cpu")) * 0.8
    assert torch.equal(model.get_parameter(name), exact.bfloat16())
    bakery.expert(Expert.HIGH, (), list)
    assert all(torch.equal(p, before[name]) for name, p in model.named_parameters())


def test_a_job_that_is_stopped_midway_leaves_nothing_behind(engine: WanEngine, lora: Use) -> None:
    def cancel(event: str) -> None:
        if event == "step 3":
            raise Cancelled("by the user")

    pristine, plain = fingerprint(engine), run(engine)
    with pytest.raises(Cancelled):
        engine.generate(request(loras=(lora(),)), Heard(on=cancel))
    assert np.array_equal(run(engine), plain)
    assert fingerprint(engine) == pristine


def test_a_bake_that_fails_midway_leaves_nothing_behind(
    engine: WanEngine, lora: Use, monkeypatch: pytest.MonkeyPatch
) -> None:
    pristine, plain = fingerprint(engine), run(engine)
    real = torch.Tensor.copy_
    writes: list[str] = []

    def failing(self: torch.Tensor, *args: object, **kwargs: object) -> torch.Tensor:
        writes.append("write")
        if len(writes) == 3:
            raise RuntimeError("the third write broke")
        return real(self, *args, **kwargs)  # type: ignore[arg-type]  # handed through as it came

    def baking(*args: object, **kwargs: object) -> None:
        with monkeypatch.context() as patch:
            patch.setattr(torch.Tensor, "copy_", failing)
            bake(*args, **kwargs)  # type: ignore[arg-type]  # handed through as it came

    with monkeypatch.context() as patch:
        for place in BAKES:
            patch.setattr(place, baking)
        with pytest.raises(Exception, match="the third write broke"):
            run(engine, lora())
    assert np.array_equal(run(engine), plain)
    assert fingerprint(engine) == pristine


def test_the_same_loras_are_not_read_or_baked_again(
    engine: WanEngine, lora: Use, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = run(engine, lora())
    baked: list[str] = []

    def counted(*args: object, **kwargs: object) -> None:
        baked.append("bake")
        bake(*args, **kwargs)  # type: ignore[arg-type]  # handed through as it came

    for place in BAKES:
        monkeypatch.setattr(place, counted)
    assert np.array_equal(run(engine, lora()), first)
    assert len(baked) == (0 if engine._in_memory().plan == "resident" else 2)
    os.utime(lora().path, ns=(1, 1))
    assert np.array_equal(run(engine, lora()), first)
    assert len(baked) == (2 if engine._in_memory().plan == "resident" else 4)


def test_a_changed_file_is_noticed(engine: WanEngine, lora: Use) -> None:
    use = lora()
    first = run(engine, use)
    use.path.unlink()
    assert not np.array_equal(run(engine, lora(scale=3.0)), first)


def test_loras_are_checked_before_anything_is_computed(engine: WanEngine, tmp_path: Path) -> None:
    save_file({"blocks.0.self_attn.q.lora_A.weight": torch.zeros(4, 160)}, tmp_path / "half.safetensors")
    heard = Heard()
    use = LoraUse("half", tmp_path / "half.safetensors", ((0.0,), (1.0,)))
    with pytest.raises(BadParams, match=r"loras: half\.safetensors does not fit this model"):
        engine.generate(request(loras=(use,)), heard)
    assert heard.steps == []


def test_what_cannot_be_is_named(engine: WanEngine, lora: Use, tmp_path: Path) -> None:
    with pytest.raises(BadParams, match="strengths for 3 phases; this run has 2"):
        run(engine, lora((1.0,), (1.0,), (1.0,)))
    with pytest.raises(BadParams, match=r"loras: gone\.safetensors cannot be read"):
        run(engine, LoraUse("gone", tmp_path / "gone.safetensors", ((1.0,),)))


def test_the_result_names_loras_and_suspects(engine: WanEngine, lora: Use) -> None:
    names = ("style_HIGH_noise", "style_low_noise", "slow_motion")
    loras = tuple(lora((1.0,), (0.0,), name=name) for name in names)
    details = engine.generate(request(loras=loras), Heard()).details
    assert details["loras"][0] == {"name": "style_HIGH_noise.safetensors", "strengths": [[1.0], [0.0]]}
    assert details["warnings"] == [
        "the LoRA style_low_noise.safetensors is named for the low-noise expert "
        "and used on the high-noise one only"
    ]


def test_strengths_are_spread_over_a_phase(lora: Use) -> None:
    class NoBakery:
        def holds(self, expert: Expert, key: object) -> bool:
            return True

        def shapes(self, expert: Expert) -> Shapes:
            raise AssertionError

        def expert(
            self, expert: Expert, key: object, loras: Callable[[], list[tuple[Lora, float]]]
        ) -> object:
            return key

    steps = [Step(phase, at, 3, Expert.HIGH, 1.0) for phase in (0, 1) for at in range(3)]
    use = lora((1.0,), (0.9, 0.1))
    experts = Experts(NoBakery(), [use], steps, 2)  # type: ignore[arg-type]  # only what is asked for
    found = [[strength for _, strength in experts.for_step(step)] for step in steps]
    assert found == [[1.0], [1.0], [1.0], [0.9], [0.9], [0.1]]
    experts = Experts(NoBakery(), [lora((1.0, 0.5, 0.0))], steps, 2)  # type: ignore[arg-type]  # as above
    found = [[strength for _, strength in experts.for_step(step)] for step in steps]
    assert found == [[1.0], [1.0], [0.5], [0.5], [], []]
