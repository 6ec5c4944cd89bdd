"""Quantised .safetensors files: equal to what their own definition gives; others refused by name."""

from __future__ import annotations

import importlib
import json
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from diffusers import WanTransformer3DModel
from safetensors.torch import save_file

from models.errors import WeightsError
from models.weights import count_parameters, load_text_encoder, load_transformer, open_weights
from models.weights_dialects import read_weights
from models.weights_source import open_source
from tests.tools.constructed import TINY
from tests.weights.conftest import Tensors, wan_name

CPU = torch.device("cpu")
E4M3, E5M2 = torch.float8_e4m3fn, torch.float8_e5m2


def load(path: Path, dtype: torch.dtype = torch.float32) -> WanTransformer3DModel:
    return load_transformer(path, dtype=dtype, device=CPU, head_dim=32)


def is_linear(name: str, tensor: torch.Tensor) -> bool:
    return name.startswith("blocks.") and name.endswith(".weight") and tensor.dim() == 2


def quantised(
    tensors: Tensors,
    shape: Callable[[int], tuple[int, ...]],
    suffix: str,
    dtype: torch.dtype = E4M3,
) -> tuple[Tensors, Tensors]:
    """What a tool writes for these parameters, and what they are by the definition: value x scale."""
    written, meant = {}, {}
    for name, tensor in tensors.items():
        if not is_linear(name, tensor):
            written[name] = meant[name] = tensor
            continue
        form = shape(tensor.shape[0])
        largest = tensor.abs().amax(dim=1) if len(form) and form[0] > 1 else tensor.abs().max()[None]
        scale = (largest / torch.finfo(dtype).max).clamp_min(1e-12)
        packed = (tensor / scale[:, None]).to(dtype)
        written[name] = packed
        written[f"{name.removesuffix('.weight')}.{suffix}"] = scale.reshape(form)
        meant[name] = packed.float() * scale[:, None]
    return written, meant


def assert_meant(model: WanTransformer3DModel, meant: Tensors) -> None:
    found = dict(model.named_parameters())
    assert found.keys() == meant.keys()
    for name, value in meant.items():
        assert torch.equal(found[name], value.to(found[name].dtype)), name


SCALES: dict[str, tuple[Callable[[int], tuple[int, ...]], str, torch.dtype]] = {
    "ComfyUI fp8_scaled": (lambda rows: (), "scale_weight", E4M3),
    "one number in a list": (lambda rows: (1,), "scale_weight", E4M3),
    "per row": (lambda rows: (rows, 1), "weight_scale", E4M3),
    "per row, flat": (lambda rows: (rows,), "weight_scale", E4M3),
    "e5m2": (lambda rows: (), "scale_weight", E5M2),
}


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("kind", SCALES)
def test_scaled_fp8(tmp_path: Path, transformer_tensors: Tensors, kind: str, dtype: torch.dtype) -> None:
    written, meant = quantised(transformer_tensors, *SCALES[kind])
    file = {f"model.diffusion_model.{wan_name(name)}": tensor for name, tensor in written.items()}
    file["model.diffusion_model.scaled_fp8"] = torch.zeros(2, dtype=E4M3)
    file["model.diffusion_model.blocks.0.self_attn.q.scale_input"] = torch.tensor(0.5)
    save_file(file, tmp_path / "m.safetensors")
    assert_meant(load(tmp_path / "m.safetensors", dtype), meant)
    assert "fp8_scaled" in open_weights(tmp_path / "m.safetensors").kinds()


def test_scaled_fp8_is_close_to_the_weights_that_it_came_from(
    tmp_path: Path, transformer_tensors: Tensors
) -> None:
    """Three bits of mantissa: half a step is 1/16 of a value."""
    written, _ = quantised(transformer_tensors, *SCALES["ComfyUI fp8_scaled"])
    save_file(written, tmp_path / "m.safetensors")
    model = load(tmp_path / "m.safetensors")
    for name, tensor in transformer_tensors.items():
        error = (model.get_parameter(name) - tensor).abs().max()
        assert error <= tensor.abs().max() / 16 + 1e-7, name


@pytest.mark.parametrize("where", ["tensors", "metadata"])
def test_comfys_newer_fp8_files(tmp_path: Path, transformer_tensors: Tensors, where: str) -> None:
    written, meant = quantised(transformer_tensors, lambda rows: (), "weight_scale")
    told = {"format": "float8_e4m3fn", "full_precision_matrix_mult": True}
    layers = [key.removesuffix(".weight_scale") for key in written if key.endswith(".weight_scale")]
    metadata = None
    if where == "tensors":
        said = torch.tensor(list(json.dumps(told).encode()), dtype=torch.uint8)
        written |= {f"{layer}.comfy_quant": said.clone() for layer in layers}
    else:
        metadata = {"_quantization_metadata": json.dumps({"layers": dict.fromkeys(layers, told)})}
    save_file(written, tmp_path / "m.safetensors", metadata)
    assert_meant(load(tmp_path / "m.safetensors"), meant)


@pytest.mark.filterwarnings("default")
@pytest.mark.parametrize("kind", ["qint8", "qfloat8_e4m3fn"])
def test_quanto_files_equal_quanto(tmp_path: Path, transformer_tensors: Tensors, kind: str) -> None:
    """Written by quanto itself, as mmgp keeps them, and compared with quanto's own unpacking."""
    quanto = importlib.import_module("optimum.quanto")
    module = load(TINY / "transformer", torch.bfloat16)
    generator = torch.Generator().manual_seed(5)
    for parameter in module.parameters():
        parameter.copy_(torch.randn(parameter.shape, generator=generator))
    quanto.quantize(module, weights=getattr(quanto, kind), include="blocks.*")
    quanto.freeze(module)
    state = {name: tensor.contiguous() for name, tensor in module.state_dict().items()}
    assert any(name.endswith("._data") for name in state)
    assert any(name.endswith(".output_scale") for name in state)
    save_file({wan_name(name): tensor for name, tensor in state.items()}, tmp_path / "m.safetensors")
    model = load(tmp_path / "m.safetensors", torch.bfloat16)
    for name, parameter in module.named_parameters():
        meant = parameter.dequantize() if hasattr(parameter, "dequantize") else parameter
        found = model.get_parameter(name)
        assert torch.equal(found, meant.to(found.dtype)), name


def test_a_scaled_text_encoder_with_its_vocabulary(tmp_path: Path, text_tensors: Tensors) -> None:
    name = "encoder.block.0.layer.0.SelfAttention.q"
    scale = text_tensors[f"{name}.weight"].abs().max() / 448
    packed = (text_tensors[f"{name}.weight"] / scale).to(E4M3)
    extra = {
        f"{name}.weight": packed,
        f"{name}.scale_weight": scale,
        "scaled_fp8": torch.zeros(0, dtype=E4M3),
        "spiece_model": torch.zeros(9, dtype=torch.uint8),
    }
    save_file(text_tensors | extra, tmp_path / "t5.safetensors")
    encoder = load_text_encoder(tmp_path / "t5.safetensors", dtype=torch.float32, device=CPU)
    assert torch.equal(encoder.get_parameter(f"{name}.weight"), packed.float() * scale)


def test_the_numbers_of_the_unpacked_model_are_counted(tmp_path: Path, transformer_tensors: Tensors) -> None:
    written, _ = quantised(transformer_tensors, *SCALES["per row"])
    save_file(written, tmp_path / "m.safetensors")
    assert count_parameters(tmp_path / "m.safetensors") == sum(
        t.numel() for t in transformer_tensors.values()
    )


def test_one_packed_tensor_is_held_at_a_time(tmp_path: Path, transformer_tensors: Tensors) -> None:
    """The two halves of a parameter are read one after the other, whatever lies between them in the file."""
    written, _ = quantised(transformer_tensors, *SCALES["per row"])
    save_file(written, tmp_path / "m.safetensors")
    weights = read_weights(open_source(tmp_path / "m.safetensors"))
    asked: list[str] = []
    for name, _ in weights.read(list(weights.stored), CPU):
        asked.append(name)
    assert asked == list(weights.stored)


Q = "blocks.0.attn1.to_q"


def comfy(**told: object) -> Tensors:
    said = torch.tensor(list(json.dumps(told).encode()), dtype=torch.uint8)
    return {f"{Q}.comfy_quant": said}


REFUSED: dict[str, tuple[Tensors, str]] = {
    "nvfp4": ({f"{Q}.weight_scale_2": torch.ones(1)}, "nvfp4"),
    "GPTQ": ({f"{Q}.qweight": torch.ones(1, dtype=torch.int32)}, "GPTQ or AWQ"),
    "bitsandbytes": ({f"{Q}.weight.absmax": torch.ones(1)}, "bitsandbytes"),
    "nf4": ({f"{Q}.weight.quant_state.bitsandbytes__nf4": torch.ones(1)}, "bitsandbytes"),
    "SVDQuant": ({f"{Q}.smooth_factor": torch.ones(1)}, "SVDQuant"),
    "quanto int4": ({f"{Q}.weight._shift": torch.ones(1)}, "quanto int4"),
    "comfy int8": (comfy(format="int8_tensorwise"), "int8_tensorwise"),
    "comfy rotated": (comfy(format="float8_e4m3fn", convrot=True), "convrot"),
    "blocks": ({f"{Q}.weight_scale": torch.ones(5, 5)}, r"blocks with a scale of shape \(5, 5\)"),
    "two scales": (
        {f"{Q}.weight_scale": torch.ones(1), f"{Q}.scale_weight": torch.ones(1)},
        "scaled BF16",
    ),
    "int8": (
        {f"{Q}.weight": torch.ones(160, 160, dtype=torch.int8), f"{Q}.weight_scale": torch.ones(1)},
        "scaled I8",
    ),
}


@pytest.mark.parametrize("kind", REFUSED)
def test_what_is_not_read_is_refused_by_name(tmp_path: Path, transformer_tensors: Tensors, kind: str) -> None:
    extra, says = REFUSED[kind]
    save_file(transformer_tensors | extra, tmp_path / "m.safetensors")
    with pytest.raises(WeightsError, match=f"quantised as .*{says}.*Use a bf16"):
        load(tmp_path / "m.safetensors")


@pytest.mark.parametrize(
    "key", ["blocks.9.attn1.to_q.scale_weight", f"{Q}.bias_scale", "blocks.9.input_scale"]
)
def test_a_scale_of_nothing_is_of_unknown_use(tmp_path: Path, transformer_tensors: Tensors, key: str) -> None:
    save_file(transformer_tensors | {key: torch.ones(1)}, tmp_path / "m.safetensors")
    with pytest.raises(WeightsError, match=f"1 tensors of unknown use: {key}"):
        load(tmp_path / "m.safetensors")


def test_metadata_that_names_another_format_is_refused(tmp_path: Path, transformer_tensors: Tensors) -> None:
    told = json.dumps({"layers": {Q: {"format": "nvfp4"}}})
    save_file(transformer_tensors, tmp_path / "m.safetensors", {"_quantization_metadata": told})
    with pytest.raises(WeightsError, match="nvfp4"):
        load(tmp_path / "m.safetensors")
