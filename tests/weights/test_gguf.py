"""GGUF files, written by ggml's own package and compared with its own unpacking, bit for bit."""

from __future__ import annotations

import struct
from pathlib import Path
from typing import Any

import gguf
import numpy as np
import pytest
import torch
from diffusers import WanTransformer3DModel

from models.errors import WeightsError
from models.weights import load_text_encoder, load_transformer, open_weights
from models.weights_gguf_blocks import unpacked
from models.weights_gguf_header import PACKINGS, NotGguf, read_gguf_header
from tests.weights.conftest import Tensors, wan_name

CPU = torch.device("cpu")
Array = np.ndarray[Any, np.dtype[Any]]
PLAIN = ("F32", "F16", "BF16")
HALVES = {"Q2_K": (80, 82), "Q3_K": (108,), "Q6_K": (208,), "Q4_1": (0, 2), "Q5_1": (0, 2)} | {
    "Q4_K": (0, 2),
    "Q5_K": (0, 2),
}
"""Where a block keeps half-precision numbers, if not at its beginning alone."""


def kind_of(name: str) -> Any:
    return gguf.GGMLQuantizationType[name]


def random_blocks(packing: str, rows: int, columns: int, seed: int = 0) -> Array:
    """Any bytes are legal blocks, but for scales that would not be numbers: [rows, bytes]."""
    _, values, length = next(entry for entry in PACKINGS.values() if entry[0] == packing)
    generator = np.random.default_rng(seed)
    blocks = generator.integers(0, 256, (rows * columns // values, length), dtype=np.uint8)
    for place in HALVES.get(packing, (0,)):
        halves = (generator.normal(size=(len(blocks), 1)) * 0.01).astype(np.float16)
        blocks[:, place : place + 2] = halves.view(np.uint8)
    return blocks.reshape(rows, -1)


def test_every_packing_is_ggmls() -> None:
    for number, (name, values, length) in PACKINGS.items():
        assert kind_of(name).value == number
        assert gguf.GGML_QUANT_SIZES[kind_of(name)] == (values, length)


@pytest.mark.parametrize("packing", [name for name, _, _ in PACKINGS.values() if name not in PLAIN])
def test_unpacking_equals_ggml_bit_for_bit(packing: str) -> None:
    data = random_blocks(packing, 7, 768, seed=3)
    meant = gguf.quants.dequantize(data, kind_of(packing))
    found = unpacked(packing, torch.from_numpy(data).flatten(), (7, 768))
    assert found.dtype == torch.float32
    assert np.array_equal(found.numpy(), meant)


def write(
    path: Path, tensors: dict[str, tuple[Array, str]], shapes: dict[str, list[int]] | None = None
) -> Path:
    """`tensors`: name -> the numbers or packed bytes, and the packing."""
    writer = gguf.GGUFWriter(path, "wan")
    writer.add_string("general.note", "a test")
    writer.add_array("tokenizer.tokens", ["a", "b"])
    for name, shape in (shapes or {}).items():
        writer.add_array(f"comfy.gguf.orig_shape.{name}", shape)
    for name, (array, packing) in tensors.items():
        writer.add_tensor(name, array, raw_dtype=kind_of(packing))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return path


def packed(tensor: torch.Tensor, packing: str) -> Array:
    return np.asarray(gguf.quants.quantize(tensor.float().numpy(), kind_of(packing)))


def fits(tensor: torch.Tensor) -> bool:
    return tensor.dim() == 2 and tensor.shape[1] % 32 == 0


@pytest.mark.parametrize("packing", ["Q8_0", "Q4_0", "Q4_1", "Q5_0", "Q5_1", "BF16", "F16"])
def test_a_transformer(tmp_path: Path, transformer_tensors: Tensors, packing: str) -> None:
    tensors: dict[str, tuple[Array, str]] = {}
    meant: Tensors = {}
    for name, tensor in transformer_tensors.items():
        if fits(tensor):
            data = packed(tensor, packing)
            tensors[wan_name(name)] = data, packing
            meant[name] = torch.from_numpy(gguf.quants.dequantize(data, kind_of(packing)).astype(np.float32))
        else:
            flat = tensor.flatten(1) if tensor.dim() == 5 else tensor
            tensors[wan_name(name)] = flat.float().numpy(), "F32"
            meant[name] = tensor.float()
    original = {"patch_embedding.weight": list(transformer_tensors["patch_embedding.weight"].shape)}
    for shapes in (original, {}):
        path = write(tmp_path / f"m{len(shapes)}.gguf", tensors, shapes)
        model = load_transformer(path, dtype=torch.float32, device=CPU, head_dim=32)
        for name, value in meant.items():
            assert torch.equal(model.get_parameter(name), value.view_as(model.get_parameter(name))), name
    assert open_weights(path).kinds() == tuple(sorted({"GGUF F32", f"GGUF {packing}"}))


K_QUANTS = ("Q2_K", "Q3_K", "Q4_K", "Q5_K", "Q6_K", "IQ4_XS", "IQ4_NL")


def test_a_transformer_of_mixed_k_quants(tmp_path: Path) -> None:
    """Rows of 256, which these need: a network of its own, its numbers anything at all."""
    with torch.device("meta"):
        shapes = {
            name: tuple(p.shape)
            for name, p in WanTransformer3DModel(
                num_attention_heads=2,
                in_channels=36,
                num_layers=2,
                ffn_dim=512,
                text_dim=256,
                freq_dim=256,
            ).named_parameters()
        }
    tensors: dict[str, tuple[Array, str]] = {}
    meant: dict[str, Array] = {}
    for index, (name, shape) in enumerate(shapes.items()):
        if len(shape) == 2 and shape[1] % 256 == 0 and not name.startswith("scale"):
            packing = K_QUANTS[index % len(K_QUANTS)]
            data = random_blocks(packing, *shape, seed=index)
            tensors[wan_name(name)] = data, packing
            meant[name] = gguf.quants.dequantize(data, kind_of(packing))
        else:
            values = np.random.default_rng(index).normal(size=shape).astype(np.float16)
            tensors[wan_name(name)] = values, "F16"
            meant[name] = values.astype(np.float32)
    path = write(tmp_path / "m.gguf", tensors)
    model = load_transformer(path, dtype=torch.float32, device=CPU)
    assert model.config.num_attention_heads == 2
    for name, parameter in model.named_parameters():
        assert np.array_equal(parameter.numpy(), meant[name]), name
    half = load_transformer(path, dtype=torch.bfloat16, device=CPU)
    name = "blocks.1.ffn.net.2.weight"
    assert torch.equal(half.get_parameter(name), model.get_parameter(name).bfloat16())


_LLAMA = (
    ("shared.weight", "token_embd.weight"),
    ("encoder.final_layer_norm.", "enc.output_norm."),
    ("encoder.block.", "enc.blk."),
    (".layer.0.SelfAttention.relative_attention_bias.", ".attn_rel_b."),
    (".layer.0.SelfAttention.", ".attn_"),
    (".layer.0.layer_norm.", ".attn_norm."),
    (".layer.1.layer_norm.", ".ffn_norm."),
    (".layer.1.DenseReluDense.wi_0.", ".ffn_gate."),
    (".layer.1.DenseReluDense.wi_1.", ".ffn_up."),
    (".layer.1.DenseReluDense.wo.", ".ffn_down."),
)


def llama_name(name: str) -> str:
    """A text encoder's parameter as llama.cpp calls it."""
    for ours, theirs in _LLAMA:
        name = name.replace(ours, theirs)
    return name


def test_a_text_encoder_in_llama_cpps_names(tmp_path: Path, text_tensors: Tensors) -> None:
    tensors: dict[str, tuple[Array, str]] = {}
    meant: Tensors = {}
    for name, tensor in text_tensors.items():
        packing = "Q8_0" if fits(tensor) and "bias" not in name else "F32"
        data = packed(tensor, packing)
        tensors[llama_name(name)] = data, packing
        meant[name] = torch.from_numpy(gguf.quants.dequantize(data, kind_of(packing)).astype(np.float32))
    path = write(tmp_path / "t5.gguf", tensors)
    encoder = load_text_encoder(path, dtype=torch.float32, device=CPU)
    for name, value in meant.items():
        assert torch.equal(encoder.get_parameter(name), value), name


def small(tmp_path: Path) -> Path:
    return write(tmp_path / "m.gguf", {"a": (np.ones((2, 32), np.float32), "F32")})


def test_files_that_are_cut_short_are_named(tmp_path: Path) -> None:
    whole = small(tmp_path).read_bytes()
    for length in range(0, len(whole) - 1, 7):
        (tmp_path / "cut.gguf").write_bytes(whole[:length])
        with pytest.raises(WeightsError, match=r"cut\.gguf cannot be read as GGUF"):
            open_weights(tmp_path / "cut.gguf")


def header(
    *tensors: tuple[str, tuple[int, ...], int, int], version: int = 3, entries: bytes = b"", count: int = 0
) -> bytes:
    """A header byte by byte, for what ggml's package would not write."""
    data = b"GGUF" + struct.pack("<IQQ", version, len(tensors), count) + entries
    for name, shape, kind, offset in tensors:
        data += struct.pack("<Q", len(name)) + name.encode() + struct.pack("<I", len(shape))
        data += struct.pack(f"<{len(shape)}QIQ", *shape[::-1], kind, offset)
    return data


def text(name: str, kind: int, value: bytes) -> bytes:
    return struct.pack("<Q", len(name)) + name.encode() + struct.pack("<I", kind) + value


WRONG = {
    "another file": (b"PK\x03\x04" + bytes(40), "does not begin with"),
    "version": (header(version=1), "its version is 1"),
    "unknown type": (header(("a", (32,), 99, 0)), "quantised as type 99, which is not read"),
    "IQ2_XS": (header(("a", (256,), 17, 0)), "quantised as IQ2_XS, which is not read"),
    "MXFP4": (header(("a", (32,), 39, 0)), "quantised as MXFP4"),
    "half a block": (header(("a", (2, 33), 8, 0)), "no whole blocks of 32"),
    "behind the end": (header(("a", (32,), 8, 1 << 40)) + bytes(99), "not complete"),
    "twice": (header(("a", (1,), 0, 0), ("a", (1,), 0, 0)) + bytes(99), "stands there twice"),
    "too many tensors": (b"GGUF" + struct.pack("<IQQ", 3, 1 << 50, 0), "tensors, more than"),
    "too many dimensions": (header(("a", (1,) * 9, 0, 0)), "9 dimensions"),
    "unknown entry": (header(entries=text("k", 77, b""), count=1), "unknown type 77"),
    "list of lists": (header(entries=text("k", 9, struct.pack("<IQ", 9, 1)), count=1), "list of the type 9"),
    "alignment": (
        header(entries=text("general.alignment", 4, struct.pack("<I", 0)), count=1),
        "its alignment is 0",
    ),
    "original shape": (
        header(
            ("a", (4,), 0, 0),
            entries=text("comfy.gguf.orig_shape.a", 9, struct.pack("<IQ2i", 5, 2, 3, 3)),
            count=1,
        )
        + bytes(99),
        "original shape",
    ),
}


@pytest.mark.parametrize("kind", WRONG)
def test_wrong_files_are_refused(tmp_path: Path, kind: str) -> None:
    data, says = WRONG[kind]
    (tmp_path / "m.gguf").write_bytes(data)
    with pytest.raises(NotGguf, match=says):
        read_gguf_header(tmp_path / "m.gguf")


def test_a_file_that_shrinks_meanwhile_is_told(tmp_path: Path) -> None:
    weights = open_weights(small(tmp_path))
    (tmp_path / "m.gguf").write_bytes((tmp_path / "m.gguf").read_bytes()[:-8])
    with pytest.raises(WeightsError, match="ended while a was read"):
        list(weights.read(["a"], CPU))


def test_absent_files_and_other_networks(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match="does not exist"):
        open_weights(tmp_path / "none.gguf")
    with pytest.raises(WeightsError, match="no such model"):
        load_transformer(small(tmp_path), dtype=torch.float32, device=CPU)
