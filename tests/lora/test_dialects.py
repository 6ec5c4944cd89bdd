"""Every dialect gives the same weights; everything else is refused by name."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from diffusers import WanTransformer3DModel
from safetensors.torch import save_file

from models.errors import WeightsError
from models.lora import Lora, Shapes, bake, read_lora
from tests.lora.conftest import ALPHA, DIALECTS, DIFFS, LINEAR, RANK, Tensors, expected

Pairs = dict[str, tuple[torch.Tensor, torch.Tensor]]


def written(tmp_path: Path, tensors: Tensors, metadata: dict[str, str] | None = None) -> Path:
    path = tmp_path / "style.safetensors"
    save_file({name: tensor.clone().contiguous() for name, tensor in tensors.items()}, path, metadata)
    return path


def dialect(name: str, pairs: Pairs) -> Tensors:
    write, _ = DIALECTS[name]
    parts = (write(module, LINEAR[module], *pair) for module, pair in pairs.items())
    return {key: tensor for part in parts for key, tensor in part.items()}


def baked(model: WanTransformer3DModel, lora: Lora, strength: float = 1.0) -> Tensors:
    """What baking adds to every parameter that it changes."""
    before = {name: p.clone() for name, p in model.named_parameters()}
    bake(model, before.__getitem__, [(lora, strength)])
    return {
        name: p.clone() - before[name]
        for name, p in model.named_parameters()
        if not torch.equal(p, before[name])
    }


@pytest.mark.parametrize("name", DIALECTS)
def test_every_dialect_gives_the_same_weights(
    tmp_path: Path, model: WanTransformer3DModel, shapes: Shapes, pairs: Pairs, name: str
) -> None:
    path = written(tmp_path, dialect(name, pairs))
    lora = read_lora(path, shapes)
    assert lora.keys == len(pairs) * (3 if DIALECTS[name][1] else 2)
    assert lora.rank == RANK
    found = baked(model, lora, 0.7)
    wanted = expected(pairs, 0.7 * (ALPHA / RANK if DIALECTS[name][1] else 1.0))
    assert found.keys() == wanted.keys()
    for parameter, delta in wanted.items():
        assert torch.allclose(found[parameter], delta, atol=2e-6), parameter


@pytest.mark.parametrize("alpha", [False, True])
def test_dialects_agree_bit_for_bit(tmp_path: Path, shapes: Shapes, pairs: Pairs, alpha: bool) -> None:
    loras = [
        read_lora(written(tmp_path, dialect(name, pairs)), shapes)
        for name, (_, has_alpha) in DIALECTS.items()
        if has_alpha == alpha
    ]
    for parameter, delta in loras[0].deltas.items():
        reference = delta.of(shapes[parameter], torch.device("cpu"))
        for other in loras[1:]:
            assert torch.equal(other.deltas[parameter].of(shapes[parameter], torch.device("cpu")), reference)


@pytest.mark.parametrize("alpha", [False, True])
@pytest.mark.parametrize("prefix", ["", "diffusion_model."])
def test_lightx2v_files_with_whole_differences(
    tmp_path: Path,
    model: WanTransformer3DModel,
    shapes: Shapes,
    pairs: Pairs,
    diffs: Tensors,
    prefix: str,
    alpha: bool,
) -> None:
    name = "original names down/up alpha" if alpha else "diffusion_model. down/up"
    tensors = {key.removeprefix("diffusion_model."): t for key, t in dialect(name, pairs).items()}
    tensors |= {DIFFS[parameter]: diff for parameter, diff in diffs.items()}
    lora = read_lora(written(tmp_path, {prefix + key: t for key, t in tensors.items()}), shapes)
    found = baked(model, lora)
    wanted = expected(pairs, ALPHA / RANK if alpha else 1.0) | diffs
    assert found.keys() == wanted.keys()
    for parameter, delta in wanted.items():
        assert torch.allclose(found[parameter], delta, atol=2e-6), parameter


def test_a_partial_file_is_fine(tmp_path: Path, shapes: Shapes, pairs: Pairs) -> None:
    part = {"blocks.1.ffn.net.2": pairs["blocks.1.ffn.net.2"]}
    assert set(read_lora(written(tmp_path, dialect("musubi", part)), shapes).deltas) == {
        "blocks.1.ffn.net.2.weight"
    }


@pytest.mark.parametrize("prefix", ["lycoris_", "diffusion_model."])
def test_lokr(tmp_path: Path, model: WanTransformer3DModel, shapes: Shapes, prefix: str) -> None:
    one, two = torch.randn(8, 8), torch.randn(20, 20) * 0.1
    base = prefix + ("blocks_0_self_attn_q" if prefix == "lycoris_" else "blocks.0.self_attn.q")
    tensors = {f"{base}.lokr_w1": one, f"{base}.lokr_w2": two, f"{base}.alpha": torch.tensor(3.0)}
    found = baked(model, read_lora(written(tmp_path, tensors), shapes))
    assert torch.allclose(found["blocks.0.attn1.to_q.weight"], torch.kron(one, two), atol=2e-6)


def test_lokr_in_factors_is_scaled_by_alpha_over_rank(
    tmp_path: Path, model: WanTransformer3DModel, shapes: Shapes
) -> None:
    one, a, b = torch.randn(8, 8), torch.randn(20, 4), torch.randn(4, 20) * 0.1
    base = "lycoris_blocks_0_self_attn_q"
    tensors = {
        f"{base}.lokr_w1": one,
        f"{base}.lokr_w2_a": a,
        f"{base}.lokr_w2_b": b,
        f"{base}.alpha": torch.tensor(2.0),
    }
    found = baked(model, read_lora(written(tmp_path, tensors), shapes))
    wanted = torch.kron(one, a @ b) * 0.5
    assert torch.allclose(found["blocks.0.attn1.to_q.weight"], wanted, atol=2e-5)


def test_a_bias_of_the_upward_half(
    tmp_path: Path, model: WanTransformer3DModel, shapes: Shapes, pairs: Pairs
) -> None:
    part = {"blocks.0.attn1.to_q": pairs["blocks.0.attn1.to_q"]}
    bias = torch.randn(160)
    tensors = dialect("DiffSynth and SVI", part) | {"blocks.0.self_attn.q.lora_B.default.bias": bias}
    found = baked(model, read_lora(written(tmp_path, tensors), shapes))
    assert torch.allclose(found["blocks.0.attn1.to_q.bias"], bias, atol=1e-5)


def test_a_pair_for_the_patch_embedding(tmp_path: Path, model: WanTransformer3DModel, shapes: Shapes) -> None:
    down, up = torch.randn(3, 36, 1, 2, 2), torch.randn(160, 3, 1, 1, 1) * 0.1
    tensors = {"patch_embedding.lora_down.weight": down, "patch_embedding.lora_up.weight": up}
    found = baked(model, read_lora(written(tmp_path, tensors), shapes))
    wanted = (up.flatten(1) @ down.flatten(1)).view(160, 36, 1, 2, 2)
    assert torch.allclose(found["patch_embedding.weight"], wanted, atol=2e-6)


def test_diffusers_keeps_the_alpha_in_the_metadata(
    tmp_path: Path, model: WanTransformer3DModel, shapes: Shapes, pairs: Pairs
) -> None:
    told = {"transformer.r": RANK, "transformer.lora_alpha": 1, "transformer.rank_pattern": {}}
    metadata = {"lora_adapter_metadata": json.dumps(told)}
    lora = read_lora(written(tmp_path, dialect("transformer.", pairs), metadata), shapes)
    found = baked(model, lora)
    for parameter, delta in expected(pairs, 1 / RANK).items():
        assert torch.allclose(found[parameter], delta, atol=2e-6)
    metadata = {"lora_adapter_metadata": json.dumps({"transformer.rank_pattern": {"to_q": 8}})}
    with pytest.raises(WeightsError, match="ranks or alphas per layer"):
        read_lora(written(tmp_path, dialect("transformer.", pairs), metadata), shapes)


@pytest.mark.parametrize("text", ["{", "[]", json.dumps({"r": 0, "lora_alpha": 1})])
def test_metadata_that_says_nothing_useful_is_named(
    tmp_path: Path, shapes: Shapes, pairs: Pairs, text: str
) -> None:
    path = written(tmp_path, dialect("transformer.", pairs), {"lora_adapter_metadata": text})
    with pytest.raises(WeightsError, match="in its metadata"):
        read_lora(path, shapes)


def test_half_precision_and_fp8_files_are_computed_in_float32(
    tmp_path: Path, model: WanTransformer3DModel, shapes: Shapes, pairs: Pairs
) -> None:
    for dtype in (torch.bfloat16, torch.float16, torch.float8_e4m3fn):
        tensors = {key: t.to(dtype) for key, t in dialect("original names", pairs).items()}
        lora = read_lora(written(tmp_path, tensors), shapes)
        delta = lora.deltas["proj_out.weight"].of(shapes["proj_out.weight"], torch.device("cpu"))
        down, up = (tensors[f"head.head.lora_{half}.weight"].float() for half in "AB")
        assert torch.equal(delta, up @ down)


def test_zero_differences_of_parameters_that_we_lack_do_no_harm(
    tmp_path: Path, shapes: Shapes, pairs: Pairs
) -> None:
    tensors = dialect("original names", pairs)
    zero = {"blocks.0.cross_attn.norm_k_img.diff": torch.zeros(160)}
    assert "proj_out.weight" in read_lora(written(tmp_path, tensors | zero), shapes).deltas
    with pytest.raises(WeightsError, match=r"1 of its 25 keys are unknown.*norm_k_img"):
        read_lora(written(tmp_path, tensors | {next(iter(zero)): torch.ones(160)}), shapes)


WRONG: dict[str, tuple[Callable[[Tensors], Tensors], str]] = {
    "unknown layer": (
        lambda t: t | {"blocks.9.self_attn.q.lora_A.weight": torch.zeros(4, 160)},
        "1 of its 25 keys are unknown",
    ),
    "unknown part": (
        lambda t: t | {"blocks.0.self_attn.q.lora_C.weight": torch.zeros(1)},
        "keys are unknown",
    ),
    "half a pair": (
        lambda t: {k: v for k, v in t.items() if k != "head.head.lora_B.weight"},
        "at proj_out.weight: it has down only",
    ),
    "alpha alone": (
        lambda t: t | {"blocks.0.self_attn.v.alpha": torch.tensor(1.0)},
        "an alpha and nothing to scale",
    ),
    "another width": (
        lambda t: t | {"head.head.lora_A.weight": torch.zeros(4, 5120)},
        "made for .* this model has",
    ),
    "other ranks": (
        lambda t: t | {"head.head.lora_A.weight": torch.zeros(5, 160)},
        "does not fit this model at proj_out",
    ),
    "dora": (lambda t: t | {"blocks.0.self_attn.q.dora_scale": torch.ones(1)}, "is a DoRA"),
    "dora of peft": (
        lambda t: t | {"blocks.0.self_attn.q.lora_magnitude_vector.default.weight": torch.ones(1)},
        "is a DoRA",
    ),
    "twice": (
        lambda t: t | {"diffusion_model.head.head.lora_A.weight": torch.zeros(4, 160)},
        "two tensors for down of proj_out.weight",
    ),
    "text encoder": (lambda t: t | {"lora_te1_encoder.lora_down.weight": torch.zeros(1)}, "keys are unknown"),
    "empty": (lambda t: {"blocks.0.cross_attn.norm_k_img.diff": torch.zeros(3)}, "changes no layer"),
    "transposed": (
        lambda t: {
            "blocks.1.ffn.0.lora_A.weight": torch.zeros(4, 192),
            "blocks.1.ffn.0.lora_B.weight": torch.zeros(160, 4),
        },
        "made for 160 x 192 numbers",
    ),
    "two alphas in one": (
        lambda t: t | {"head.head.alpha": torch.zeros(2)},
        "its alpha has 2 numbers",
    ),
    "nothing in it": (
        lambda t: t | {"head.head.lora_A.weight": torch.zeros(0, 160)},
        "a tensor without numbers",
    ),
    "a vector": (
        lambda t: t | {"head.head.lora_B.weight": torch.zeros(64)},
        "cannot be multiplied",
    ),
    "quantised": (
        lambda t: t | {"head.head.lora_A.weight": torch.zeros(4, 160, dtype=torch.int8)},
        "is quantised: .* has type I8",
    ),
    "half lokr": (lambda t: {"blocks.0.self_attn.q.lokr_w1": torch.zeros(8, 8)}, "lokr_w1 only"),
}


@pytest.mark.parametrize("kind", WRONG)
def test_wrong_files_are_refused_by_name(tmp_path: Path, shapes: Shapes, pairs: Pairs, kind: str) -> None:
    change, says = WRONG[kind]
    with pytest.raises(WeightsError, match=says):
        read_lora(written(tmp_path, change(dialect("original names", pairs))), shapes)


def test_a_base_model_is_no_lora(shapes: Shapes) -> None:
    from tests.tools.constructed import TINY

    with pytest.raises(WeightsError, match="keys are unknown"):
        read_lora(TINY / "vae" / "diffusion_pytorch_model.safetensors", shapes)


def test_absent_and_broken_files(tmp_path: Path, shapes: Shapes) -> None:
    with pytest.raises(FileNotFoundError, match="does not exist"):
        read_lora(tmp_path / "none.safetensors", shapes)
    (tmp_path / "text.safetensors").write_text("hello")
    with pytest.raises(WeightsError, match=r"is not a \.safetensors file"):
        read_lora(tmp_path / "text.safetensors", shapes)
