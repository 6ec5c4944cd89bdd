"""Transformers from every kind of file, and every kind of wrong file."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from diffusers import WanTransformer3DModel
from safetensors.torch import save_file

from models.errors import WeightsError
from models.weights import FLOAT32_ISLANDS, count_parameters, load_transformer
from tests.tools.constructed import TINY
from tests.weights.conftest import Tensors, wan_name

CPU = torch.device("cpu")
FOLDER = TINY / "transformer"


def load(path: Path, dtype: torch.dtype = torch.float32) -> WanTransformer3DModel:
    return load_transformer(path, dtype=dtype, device=CPU, head_dim=32)


@pytest.fixture(scope="module")
def reference() -> WanTransformer3DModel:
    """Read by diffusers itself."""
    model: WanTransformer3DModel = WanTransformer3DModel.from_pretrained(FOLDER, torch_dtype=torch.float32)
    return model


def same(ours: WanTransformer3DModel, theirs: WanTransformer3DModel) -> bool:
    a, b = ours.state_dict(), theirs.state_dict()
    return a.keys() == b.keys() and all(torch.equal(a[name], b[name]) for name in a)


SPELLINGS: dict[str, Callable[[str], str]] = {
    "diffusers": lambda name: name,
    "wan": wan_name,
    "comfy": lambda name: f"model.diffusion_model.{wan_name(name)}",
    "diffusion_model": lambda name: f"diffusion_model.{wan_name(name)}",
    "prefixed diffusers": lambda name: f"transformer.{name}",
}


@pytest.mark.parametrize("spelling", SPELLINGS)
def test_single_files(
    tmp_path: Path, transformer_tensors: Tensors, reference: WanTransformer3DModel, spelling: str
) -> None:
    spell = SPELLINGS[spelling]
    save_file({spell(name): t for name, t in transformer_tensors.items()}, tmp_path / "m.safetensors")
    ours = load(tmp_path / "m.safetensors")
    assert same(ours, reference)
    assert ours.config.num_layers == 2
    assert ours.config.ffn_dim == 192


def test_the_shipped_folder(reference: WanTransformer3DModel) -> None:
    assert same(load(FOLDER), reference)


def test_parameters_are_counted_from_the_header(reference: WanTransformer3DModel) -> None:
    assert count_parameters(FOLDER) == sum(p.numel() for p in reference.parameters())


def test_a_sharded_folder(
    tmp_path: Path, transformer_tensors: Tensors, reference: WanTransformer3DModel
) -> None:
    shutil.copy(FOLDER / "config.json", tmp_path)
    names = sorted(transformer_tensors)
    shards = {"one.safetensors": names[::2], "two.safetensors": names[1::2]}
    for shard, part in shards.items():
        save_file({name: transformer_tensors[name] for name in part}, tmp_path / shard)
    where = {name: shard for shard, part in shards.items() for name in part}
    index = tmp_path / "diffusion_pytorch_model.safetensors.index.json"
    index.write_text(json.dumps({"weight_map": where}))
    assert same(load(tmp_path), reference)
    (tmp_path / "two.safetensors").unlink()
    with pytest.raises(FileNotFoundError, match=r"two\.safetensors does not exist, but the index"):
        load(tmp_path)


def test_float32_islands_stay_float32() -> None:
    model = load(FOLDER, torch.bfloat16)
    found = {name for name, p in model.named_parameters() if p.dtype == torch.float32}
    assert len(found) == 11
    assert all(FLOAT32_ISLANDS & set(name.split(".")) for name in found)
    assert model.patch_embedding.weight.dtype == torch.bfloat16


def test_plain_fp8_is_read_as_the_cast_that_it_is(tmp_path: Path, transformer_tensors: Tensors) -> None:
    fp8 = {name: t.to(torch.float8_e4m3fn) for name, t in transformer_tensors.items()}
    save_file(fp8, tmp_path / "m.safetensors")
    model = load(tmp_path / "m.safetensors")
    name = "blocks.0.attn1.to_v.weight"
    assert torch.equal(model.get_parameter(name), fp8[name].float())


def test_a_flat_patch_embedding_is_put_in_shape(tmp_path: Path, transformer_tensors: Tensors) -> None:
    flat = transformer_tensors | {
        "patch_embedding.weight": transformer_tensors["patch_embedding.weight"].flatten(1)
    }
    save_file(flat, tmp_path / "diffusion_pytorch_model.safetensors")
    shutil.copy(FOLDER / "config.json", tmp_path)
    assert load(tmp_path).patch_embedding.weight.shape == (160, 36, 1, 2, 2)


def test_half_precision_computes_nearly_the_same(reference: WanTransformer3DModel) -> None:
    generator = torch.Generator().manual_seed(0)
    seen = torch.randn(1, 36, 2, 8, 8, generator=generator)
    prompt = torch.randn(1, 512, 32, generator=generator)
    outputs = [
        model(
            hidden_states=seen.to(dtype),
            timestep=torch.tensor([833.0]),
            encoder_hidden_states=prompt.to(dtype),
            return_dict=False,
        )[0].float()
        for model, dtype in ((load(FOLDER, torch.bfloat16), torch.bfloat16), (reference, torch.float32))
    ]
    error = (outputs[0] - outputs[1]).abs().mean() / outputs[1].abs().mean()
    assert error < 0.02


def test_a_config_that_is_none_is_named(tmp_path: Path) -> None:
    shutil.copytree(FOLDER, tmp_path / "m")
    (tmp_path / "m" / "config.json").write_text(json.dumps({"wings": 2}))
    with pytest.raises(WeightsError, match=r"config\.json cannot be used .*wings"):
        load(tmp_path / "m")


def test_known_leftovers_do_no_harm(tmp_path: Path, transformer_tensors: Tensors) -> None:
    extra = {"blocks.0.attn2.norm_added_q.weight": torch.zeros(3)}
    save_file(transformer_tensors | extra, tmp_path / "m.safetensors")
    load(tmp_path / "m.safetensors")


def test_what_is_loaded_is_ready_and_our_own_memory(tmp_path: Path, transformer_tensors: Tensors) -> None:
    save_file(transformer_tensors, tmp_path / "m.safetensors")
    model = load(tmp_path / "m.safetensors")
    (tmp_path / "m.safetensors").unlink()
    assert not model.training
    assert not any(p.requires_grad or p.is_meta for p in model.parameters())
    assert not any(b.is_meta for b in model.buffers())
    model.patch_embedding.weight.zero_()


WRONG: dict[str, tuple[Callable[[Tensors], Tensors], str]] = {
    "unknown tensor": (
        lambda t: t | {"blocks.0.extra.weight": torch.zeros(1)},
        "1 tensors of unknown use: blocks.0.extra",
    ),
    "missing tensor": (
        lambda t: {n: v for n, v in t.items() if "blocks.1.norm2" not in n},
        "lacks 2 tensors",
    ),
    "missing embedding": (
        lambda t: {n: v for n, v in t.items() if "patch" not in n},
        "no such model: it lacks",
    ),
    "wrong shape": (
        lambda t: t | {"blocks.1.attn1.to_q.bias": torch.zeros(7)},
        r"has shape \(7,\), not \(160,\)",
    ),
    "twice": (
        lambda t: t | {"diffusion_model.patch_embedding.bias": torch.zeros(160)},
        "are both patch_embedding.bias",
    ),
    "comfy": (
        lambda t: t | {"blocks.0.attn1.to_q.comfy_quant": torch.zeros(2, dtype=torch.uint8)},
        "comfy_quant",
    ),
    "quanto": (
        lambda t: t | {"blocks.0.attn1.to_q.weight._data": torch.zeros(2, dtype=torch.int8)},
        "quanto",
    ),
    "int8": (lambda t: t | {"proj_out.bias": torch.zeros(64, dtype=torch.int8)}, "quantised as type I8"),
}


@pytest.mark.parametrize("kind", WRONG)
def test_wrong_files_are_refused_by_name(tmp_path: Path, transformer_tensors: Tensors, kind: str) -> None:
    change, says = WRONG[kind]
    save_file(change(dict(transformer_tensors)), tmp_path / "m.safetensors")
    with pytest.raises(WeightsError, match=says):
        load(tmp_path / "m.safetensors")


@pytest.mark.parametrize("name", ["m.pth", "m.pt", "m.bin", "m.ckpt"])
def test_pickles_are_refused_with_the_command_that_converts_them(tmp_path: Path, name: str) -> None:
    (tmp_path / name).write_bytes(b"x")
    with pytest.raises(WeightsError, match="Convert it once"):
        load(tmp_path / name)


def test_other_files_are_refused(tmp_path: Path, transformer_tensors: Tensors) -> None:
    (tmp_path / "m.gguf").write_bytes(b"GGUF")
    with pytest.raises(WeightsError, match="cannot be read as GGUF: its header is cut short"):
        load(tmp_path / "m.gguf")
    (tmp_path / "m.safetensors").write_bytes(b"hello world")
    with pytest.raises(WeightsError, match=r"no complete \.safetensors file"):
        load(tmp_path / "m.safetensors")
    save_file(transformer_tensors, tmp_path / "m.safetensors")
    whole = (tmp_path / "m.safetensors").read_bytes()
    (tmp_path / "m.safetensors").write_bytes(whole[:-100])
    with pytest.raises(WeightsError, match="Get it again"):
        load(tmp_path / "m.safetensors")


def test_absent_files_are_named(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match=r"m\.safetensors does not exist"):
        load(tmp_path / "m.safetensors")
    with pytest.raises(FileNotFoundError, match="holds none of"):
        load(tmp_path)


def test_a_folder_of_another_network_is_refused() -> None:
    with pytest.raises(WeightsError, match="holds a AutoencoderKLWan, not a WanTransformer3DModel"):
        load(TINY / "vae")


@pytest.mark.parametrize("text", ["{", "[]"])
def test_a_broken_config_is_named(tmp_path: Path, text: str) -> None:
    shutil.copytree(FOLDER, tmp_path / "m")
    (tmp_path / "m" / "config.json").write_text(text)
    with pytest.raises(WeightsError, match=r"config\.json"):
        load(tmp_path / "m")
