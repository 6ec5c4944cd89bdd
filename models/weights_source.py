"""Where a model's tensors lie: one .safetensors file or a folder of them, read one tensor at a time.

Only headers are read until a tensor is asked for, so that a model never exists twice in memory.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from safetensors import safe_open

from models.errors import WeightsError
from models.safetensors_header import Header, NotSafetensors, read_header

WHOLE_FILES = ("diffusion_pytorch_model.safetensors", "model.safetensors")
READABLE_TYPES = frozenset({"F64", "F32", "F16", "BF16", "F8_E4M3", "F8_E5M2"})
"""Plain floating point. F8 here is an unscaled cast; scaled F8 is known by its companion keys."""


@dataclass(frozen=True)
class TensorInfo:
    """What a header says of a tensor: its type in safetensors' spelling, and its shape."""

    dtype: str
    shape: tuple[int, ...]


@dataclass(frozen=True)
class TensorSource:
    """Tensors of one model by name, over however many files. `config` is a folder's config.json."""

    path: Path
    files: Mapping[str, Path]
    infos: Mapping[str, TensorInfo]
    config: Mapping[str, Any] | None = None
    metadata: Mapping[str, str] = field(default_factory=dict)

    def read(self, names: list[str]) -> Iterator[tuple[str, torch.Tensor]]:
        """Every named tensor as it is stored, file by file. Each is a fresh copy that the caller may keep."""
        by_file: dict[Path, list[str]] = {}
        for name in names:
            by_file.setdefault(self.files[name], []).append(name)
        for path, wanted in by_file.items():
            with safe_open(str(path), framework="pt") as file:
                for name in wanted:
                    yield name, file.get_tensor(name)


def open_source(path: Path) -> TensorSource:
    """Look into a .safetensors file or a folder in diffusers' or transformers' layout.

    Raises `FileNotFoundError` where something is absent, `WeightsError` where it cannot be read.
    """
    if path.is_dir():
        return _open_folder(path)
    if not path.is_file():
        raise FileNotFoundError(f"{path} does not exist")
    return _join(path, [path], None)


def _open_folder(path: Path) -> TensorSource:
    config_file = path / "config.json"
    config = read_json(config_file) if config_file.is_file() else None
    for name in WHOLE_FILES:
        if (path / name).is_file():
            return _join(path, [path / name], config)
        index = path / f"{name}.index.json"
        if index.is_file():
            shards = sorted(set(read_json(index)["weight_map"].values()))
            return _join(path, [path / shard for shard in shards], config)
    raise FileNotFoundError(f"{path} holds none of {', '.join(WHOLE_FILES)} (whole or with an .index.json)")


def _join(path: Path, parts: list[Path], config: Mapping[str, Any] | None) -> TensorSource:
    files: dict[str, Path] = {}
    infos: dict[str, TensorInfo] = {}
    metadata: dict[str, str] = {}
    for part in parts:
        if not part.is_file():
            raise FileNotFoundError(f"{part} does not exist, but the index beside it names it")
        header = _header(part)
        metadata |= header.metadata
        for name, entry in header.tensors.items():
            files[name], infos[name] = part, TensorInfo(entry.dtype, entry.shape)
    return TensorSource(path, files, infos, config, metadata)


def _header(path: Path) -> Header:
    _refuse_by_name(path)
    try:
        return read_header(path)
    except NotSafetensors as error:
        raise WeightsError(f"{path} is no complete .safetensors file: {error}. Get it again.") from error


def _refuse_by_name(path: Path) -> None:
    if path.suffix in {".pth", ".pt", ".bin", ".ckpt"}:
        raise WeightsError(
            f"{path} is a pickle, which can run code when read. Convert it once, on a machine you trust: "
            'python -c "import torch, safetensors.torch as s; '
            f"t = torch.load('{path.name}', weights_only=True); "
            f"s.save_file({{k: v.contiguous() for k, v in t.items()}}, '{path.stem}.safetensors')\""
        )
    if path.suffix == ".gguf":
        raise WeightsError(f"{path} is a GGUF file, which is not read here. Use a .safetensors file.")


def read_json(path: Path) -> dict[str, Any]:
    """A JSON object from a file."""
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise WeightsError(f"{path} is not valid JSON: {error}") from error
    if not isinstance(content, dict):
        raise WeightsError(f"{path} must hold a JSON object")
    return content


def refuse_quantised(source: TensorSource) -> None:
    """Raises `WeightsError` that names the quantisation, where the tensors are not plain floating point."""
    for name, info in source.infos.items():
        kind = _quantisation(name, info)
        if kind is not None:
            raise WeightsError(
                f"{source.path} is quantised as {kind} (tensor {name}), which is not read here. "
                "Use the bf16, fp16 or fp32 file of the same model."
            )


def _quantisation(name: str, info: TensorInfo) -> str | None:
    leaf = name.rsplit(".", 1)[-1]
    if leaf in {"_data", "_scale", "qtype"}:
        return "quanto"
    if leaf in {"scale_weight", "scale_input", "weight_scale", "input_scale"} or name == "scaled_fp8":
        return "fp8_scaled"
    if leaf == "comfy_quant":
        return "comfy_quant"
    return None if info.dtype in READABLE_TYPES else f"type {info.dtype}"
