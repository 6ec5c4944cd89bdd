"""Weights that stay packed in memory: what is computed is what the unpacked ones give, bit for bit."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import gguf
import numpy as np
import pytest
import torch
from diffusers import WanTransformer3DModel
from safetensors.torch import save_file

from headless.engine.compiled import compile_blocks
from headless.engine.memory import Memory, Resident
from headless.engine.stream import Stream
from headless.engine.swap import Swap
from models.errors import WeightsError
from models.lora import Lora, bake, read_lora, shapes_of
from models.weights import load_transformer, transformer_bytes
from models.weights_packed import PackedLinear, packed_layers
from tests.weights.conftest import Tensors

CPU = torch.device("cpu")
E4M3 = torch.float8_e4m3fn
LAYERS = 2 * 10
"""Of two blocks: four matrices in each of two attentions, two in the feed-forward."""
KINDS = ("fp8", "fp8_scaled", "fp8 per row", "quanto int8", "GGUF Q8_0", "GGUF Q4_0")


def is_linear(name: str, tensor: torch.Tensor) -> bool:
    return name.startswith("blocks.") and name.endswith(".weight") and tensor.dim() == 2


def parts_of(kind: str, name: str, tensor: torch.Tensor) -> Tensors:
    """What a tool writes for one weight."""
    base, rows = name.removesuffix(".weight"), tensor.abs().amax(dim=1).clamp_min(1e-6)
    match kind:
        case "fp8":
            return {name: tensor.to(E4M3)}
        case "fp8_scaled":
            scale = tensor.abs().max() / 448
            return {name: (tensor / scale).to(E4M3), f"{base}.scale_weight": scale}
        case "fp8 per row":
            return {
                name: (tensor / (rows / 448)[:, None]).to(E4M3),
                f"{base}.weight_scale": (rows / 448)[:, None],
            }
        case _:
            scale = (rows / 127)[:, None]
            return {f"{name}._data": (tensor / scale).round().to(torch.int8), f"{name}._scale": scale}


def file_of(folder: Path, kind: str, tensors: Tensors) -> Path:
    if kind.startswith("GGUF"):
        return _gguf(folder / "model.gguf", kind.removeprefix("GGUF "), tensors)
    written: Tensors = {}
    for name, tensor in tensors.items():
        written |= parts_of(kind, name, tensor.float()) if is_linear(name, tensor) else {name: tensor}
    path = folder / "model.safetensors"
    save_file({name: tensor.contiguous() for name, tensor in written.items()}, path)
    return path


def _gguf(path: Path, packing: str, tensors: Tensors) -> Path:
    kind = gguf.GGMLQuantizationType[packing]
    writer = gguf.GGUFWriter(path, "wan")
    for name, tensor in tensors.items():
        array = tensor.float().numpy()
        if is_linear(name, tensor):
            writer.add_tensor(name, np.asarray(gguf.quants.quantize(array, kind)), raw_dtype=kind)
        else:
            writer.add_tensor(name, array.reshape(array.shape[0], -1) if array.ndim == 5 else array)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return path


def load(path: Path, *, packed: bool, dtype: torch.dtype = torch.float32) -> WanTransformer3DModel:
    return load_transformer(path, dtype=dtype, device=CPU, head_dim=32, packed=packed)


@torch.inference_mode()
def forward(model: Any) -> torch.Tensor:
    generator = torch.Generator().manual_seed(0)
    dtype = model.patch_embedding.weight.dtype
    result: torch.Tensor = model(
        hidden_states=torch.randn(1, 36, 1, 4, 6, generator=generator).to(dtype),
        timestep=torch.tensor([500.0]),
        encoder_hidden_states=torch.randn(1, 16, 32, generator=generator).to(dtype),
        return_dict=False,
    )[0]
    return result


def lora_of(folder: Path, model: torch.nn.Module, seed: int = 1) -> Lora:
    """For packed and for plain parameters."""
    torch.manual_seed(seed)
    shapes, tensors = shapes_of(model), {}
    for target in ("blocks.0.attn1.to_q", "blocks.1.ffn.net.0.proj", "condition_embedder.time_proj"):
        rows, columns = shapes[f"{target}.weight"]
        tensors[f"transformer.{target}.lora_A.weight"] = torch.randn(2, columns) / 10
        tensors[f"transformer.{target}.lora_B.weight"] = torch.randn(rows, 2) / 10
    path = folder / f"lora{seed}.safetensors"
    save_file(tensors, path)
    return read_lora(path, shapes)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("kind", KINDS)
def test_it_computes_what_the_unpacked_one_computes(
    tmp_path: Path, transformer_tensors: Tensors, kind: str, dtype: torch.dtype
) -> None:
    path = file_of(tmp_path, kind, transformer_tensors)
    packed, plain = load(path, packed=True, dtype=dtype), load(path, packed=False, dtype=dtype)
    assert len(packed_layers(packed)) == LAYERS
    assert packed_layers(plain) == {}
    assert torch.equal(forward(packed), forward(plain))


@pytest.mark.parametrize("kind", KINDS)
def test_it_takes_the_memory_that_was_forecast(
    tmp_path: Path, transformer_tensors: Tensors, kind: str
) -> None:
    path = file_of(tmp_path, kind, transformer_tensors)
    taken = sum(parameter.nbytes for parameter in load(path, packed=True).parameters())
    assert taken == transformer_bytes(path, torch.float32, packed=True)
    unpacked = transformer_bytes(path, torch.float32, packed=False)
    assert unpacked == 4 * sum(tensor.numel() for tensor in transformer_tensors.values())
    assert taken < unpacked


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("kind", ["fp8_scaled", "GGUF Q4_0"])
def test_loras_come_and_go_as_in_unpacked_weights(
    tmp_path: Path, transformer_tensors: Tensors, kind: str, dtype: torch.dtype
) -> None:
    path = file_of(tmp_path, kind, transformer_tensors)
    packed, plain = load(path, packed=True, dtype=dtype), load(path, packed=False, dtype=dtype)
    assert shapes_of(packed) == shapes_of(plain)
    before = forward(packed)
    pristine = {name: p.detach().clone() for name, p in plain.named_parameters()}
    one, two = lora_of(tmp_path, plain), lora_of(tmp_path, plain, seed=2)
    for loras in ([(one, 0.7)], [(one, 0.7), (two, -0.3)], [(two, 1.0)]):
        for model in (packed, plain):
            bake(model, pristine.__getitem__, loras, also=one.deltas)
        assert torch.equal(forward(packed), forward(plain))
        assert not torch.equal(forward(packed), before)
    bake(packed, pristine.__getitem__, [], also=one.deltas)
    assert torch.equal(forward(packed), before)


@pytest.mark.parametrize("plan", [Resident, Swap, Stream])
def test_every_memory_plan_moves_packed_weights(
    tmp_path: Path, transformer_tensors: Tensors, plan: Any
) -> None:
    path = file_of(tmp_path, "quanto int8", transformer_tensors)
    plain = load(path, packed=False)
    lora, before = lora_of(tmp_path, plain), forward(plain)
    bake(plain, dict(plain.named_parameters()).__getitem__, [(lora, 1.0)])
    memory: Memory = plan({name: load(path, packed=True) for name in ("high", "low")}, CPU)
    forgotten: list[str] = []
    memory.on_restored("high", lambda: forgotten.append("high"))
    with torch.inference_mode():
        memory.bake("high", [(lora, 1.0)], also=())
        assert torch.equal(forward(memory.use("high")), forward(plain))
        assert torch.equal(forward(memory.use("low")), before)
        again = forward(memory.use("high"))
        assert torch.equal(again, before if forgotten else forward(plain))
        memory.bake("high", [], also=set(lora.deltas))
        assert torch.equal(forward(memory.use("high")), before)


def test_blocks_are_compiled_around_it(tmp_path: Path, transformer_tensors: Tensors) -> None:
    model = load(file_of(tmp_path, "fp8_scaled", transformer_tensors), packed=True)
    before = forward(model)
    compile_blocks([model], backend="eager", whole=False)
    assert torch.equal(forward(model), before)


def test_what_is_not_packed_is_as_ever(tmp_path: Path, transformer_tensors: Tensors) -> None:
    path = tmp_path / "model.safetensors"
    save_file(transformer_tensors, path)
    assert packed_layers(load(path, packed=True)) == {}
    assert transformer_bytes(path, torch.float32, packed=True) == transformer_bytes(
        path, torch.float32, packed=False
    )


def test_a_weight_of_another_shape_is_named(tmp_path: Path, transformer_tensors: Tensors) -> None:
    name = "blocks.1.attn1.to_k.weight"
    wrong = {**transformer_tensors, name: transformer_tensors[name][:64].contiguous()}
    path = file_of(tmp_path, "fp8", wrong)
    with pytest.raises(WeightsError, match=rf"{name} has shape \(64, 160\), not \(160, 160\)"):
        load(path, packed=True)


def test_a_layer_says_what_it_is() -> None:
    weight = torch.randn(3, 2)
    layer = PackedLinear([weight.to(E4M3)], lambda parts: parts[0], (3, 2), torch.float32)
    assert layer.shape == (3, 2)
    assert torch.equal(layer.weight, weight.to(E4M3).float())
    assert [name for name, _ in layer.named_parameters()] == ["packed.0"]
