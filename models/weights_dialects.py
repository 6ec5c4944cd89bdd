"""Quantisations inside .safetensors files: which are read, and the names of those that are not.

Read: scaled fp8 (`X.weight` with `X.scale_weight` or `X.weight_scale`, a marker `scaled_fp8`, or a
`X.comfy_quant` that says float8), and quanto's int8 and float8 (`X.weight._data`, `X.weight._scale`).
Scales of activations are not needed where weights are unpacked, and are the only tensors that are dropped.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping, Sequence
from math import prod
from typing import Any, Final

import torch
from torch import Tensor

from models.errors import WeightsError
from models.weights_source import READABLE_TYPES, TensorInfo, TensorSource
from models.weights_stored import Stored, Weights

UNUSED: Final = ("norm_added_q", "spiece_model", "embeddings.position_ids")
"""Known leftovers of conversions, which no module reads."""
_BITS: Final = {"F64": 64, "F32": 32, "F16": 16, "BF16": 16, "F8_E4M3": 8, "F8_E5M2": 8, "I8": 8}
_FLOAT8: Final = frozenset({"F8_E4M3", "F8_E5M2"})
_WEIGHT_SCALES: Final = ("scale_weight", "weight_scale")
_ACTIVATION_SCALES: Final = ("scale_input", "input_scale", "output_scale")
_MARKER: Final = "scaled_fp8"
_COMFY: Final = "comfy_quant"
_COMFY_METADATA: Final = "_quantization_metadata"
_COMFY_FORMATS: Final = ("float8_e4m3fn", "float8_e5m2")
_COMFY_KEYS: Final = frozenset({"format", "full_precision_matrix_mult"})
_REFUSED: Final = (
    ("quanto int4 or int2", r"\._shift$|\._data\._data$"),
    ("nvfp4", r"\.weight_scale_2$"),
    ("GPTQ or AWQ", r"\.(qweight|qzeros|g_idx)$"),
    ("bitsandbytes", r"\.(absmax|nested_absmax|quant_map|quant_state(\..+)?)$"),
    ("SVDQuant", r"\.(wscales|smooth_factor|smooth_factor_orig)$"),
    ("quanto", r"\.qtype$"),
)
_USE: Final = "Use a bf16, fp16, fp32, fp8, fp8_scaled, quanto int8 or GGUF file of the same model."


def read_weights(source: TensorSource) -> Weights:
    """The parameters that the tensors of a source make up.

    Raises `WeightsError` that names the quantisation and a tensor, where one is not read.
    """
    infos = {name: i for name, i in source.infos.items() if not any(part in name for part in UNUSED)}
    _refuse(source, infos)
    _check_comfy(source, infos)
    stored: dict[str, Stored] = {}
    used: set[str] = set()
    for name in infos:
        found = _quanto(source, name, infos) or _scaled(source, name, infos)
        if found is not None:
            stored[found[0]] = found[1]
            used.update(found[1].keys)
    for name, info in infos.items():
        if name not in used and not _consumed(name, infos):
            if info.dtype not in READABLE_TYPES:
                raise _not_read(source, f"type {info.dtype}", name)
            stored[name] = Stored((name,), info.shape, info.dtype, lambda tensors: tensors[0], _bytes(info))
    return Weights(source.path, stored, lambda keys: source.read(list(keys)), source.config)


def _quanto(source: TensorSource, name: str, infos: Mapping[str, TensorInfo]) -> tuple[str, Stored] | None:
    base, _, leaf = name.rpartition(".")
    if leaf != "_data":
        return None
    scale, data = f"{base}._scale", infos[name]
    if scale not in infos or data.dtype not in {"I8", *_FLOAT8}:
        raise _not_read(source, "quanto without a scale, or of another type", name)
    kind = "quanto int8" if data.dtype == "I8" else "quanto float8"
    _check_scale(source, scale, infos[scale], data)
    return base, Stored((name, scale), data.shape, kind, _product, _bytes(data, infos[scale]))


def _scaled(source: TensorSource, name: str, infos: Mapping[str, TensorInfo]) -> tuple[str, Stored] | None:
    base, _, leaf = name.rpartition(".")
    scales = [key for suffix in _WEIGHT_SCALES if (key := f"{base}.{suffix}") in infos]
    if leaf != "weight" or not scales:
        return None
    info = infos[name]
    if info.dtype not in READABLE_TYPES or len(scales) > 1:
        raise _not_read(source, f"scaled {info.dtype}", name)
    _check_scale(source, scales[0], infos[scales[0]], info)
    taken = _bytes(info, infos[scales[0]])
    return name, Stored((name, scales[0]), info.shape, "fp8_scaled", _product, taken)


def _bytes(*infos: TensorInfo) -> int:
    """What tensors take in the file, and in memory while they stay packed."""
    return sum(prod(info.shape) * _BITS[info.dtype] // 8 for info in infos)


def _product(tensors: Sequence[Tensor]) -> Tensor:
    """Values times scale, in float32. A scale is one number, or one per row."""
    values, scale = tensors
    per_row = scale.float().reshape(-1, *[1] * (values.dim() - 1))
    return values.to(torch.float32) * per_row


def _check_scale(source: TensorSource, name: str, scale: TensorInfo, data: TensorInfo) -> None:
    rows = data.shape[0] if data.shape else 1
    legal = ((), (1,), (1,) * len(data.shape), (rows,), (rows, *[1] * (len(data.shape) - 1)))
    if scale.shape not in legal or scale.dtype not in READABLE_TYPES:
        raise _not_read(source, f"blocks with a scale of shape {scale.shape}, type {scale.dtype}", name)


def _consumed(name: str, infos: Mapping[str, TensorInfo]) -> bool:
    """Whether a tensor says something about a weight that is read without it."""
    base, _, leaf = name.rpartition(".")
    if leaf == _MARKER:
        return True
    of_a_weight = f"{base}.weight" in infos or f"{base}.weight._data" in infos
    return of_a_weight and leaf in {*_ACTIVATION_SCALES, _COMFY}


def _refuse(source: TensorSource, names: Iterable[str]) -> None:
    for name in names:
        for kind, pattern in _REFUSED:
            if re.search(pattern, name):
                raise _not_read(source, kind, name)


def _check_comfy(source: TensorSource, infos: Mapping[str, TensorInfo]) -> None:
    """ComfyUI's newer files say each layer's format in a tensor of JSON, or all of them in the metadata."""
    named = [name for name in infos if name.rpartition(".")[2] == _COMFY]
    for name, tensor in source.read(named):
        _check_format(source, name, bytes(tensor.to(torch.uint8).flatten().tolist()))
    metadata = source.metadata.get(_COMFY_METADATA)
    if metadata is not None:
        layers = _json(source, _COMFY_METADATA, metadata.encode()).get("layers", {})
        for name, told in layers.items() if isinstance(layers, dict) else ():
            _check_format(source, name, json.dumps(told).encode())


def _check_format(source: TensorSource, name: str, text: bytes) -> None:
    told = _json(source, name, text)
    if told.get("format") not in _COMFY_FORMATS or told.keys() - _COMFY_KEYS:
        raise _not_read(source, f"comfy_quant {json.dumps(told)[:200]}", name)


def _json(source: TensorSource, name: str, text: bytes) -> dict[str, Any]:
    try:
        told = json.loads(text)
    except ValueError:
        told = None
    if not isinstance(told, dict):
        raise _not_read(source, "comfy_quant, and does not say which", name)
    return told


def _not_read(source: TensorSource, kind: str, name: str) -> WeightsError:
    return WeightsError(f"{source.path} is quantised as {kind} (tensor {name}), which is not read. {_USE}")
