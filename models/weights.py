"""Readers for transformers and text encoders: from the files that users have to modules ready to run.

Every tensor of a file is used and every parameter of the module is filled, or the load fails and names the
difference. Tensors stream from the file into their place; there is never a second copy of the model.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from math import prod
from pathlib import Path
from typing import Any, Final, TypeVar

import torch
from accelerate import init_empty_weights
from diffusers import WanTransformer3DModel
from transformers import CLIPVisionConfig, CLIPVisionModel, UMT5Config, UMT5EncoderModel

from models.errors import WeightsError
from models.weights_config import HEAD_DIM, clip_vision_config, transformer_config, umt5_config
from models.weights_names import CLIP_IDLE, by_parameter, clip_vision_name, transformer_name, umt5_name
from models.weights_source import TensorSource, open_source, refuse_quantised

Module = TypeVar("Module", bound=torch.nn.Module)

FLOAT32_ISLANDS: Final = frozenset(WanTransformer3DModel._keep_in_fp32_modules)
"""Parts of a transformer's parameter names that stay float32 whatever the rest is."""
_UNUSED: Final = ("norm_added_q", "spiece_model", "embeddings.position_ids")
"""Known leftovers of conversions, which no module reads."""


def load_transformer(
    path: Path, *, dtype: torch.dtype, device: torch.device, head_dim: int = HEAD_DIM
) -> WanTransformer3DModel:
    """A transformer from a diffusers folder or a single file in Wan's, ComfyUI's or diffusers' names.

    `head_dim` is used only where no config.json says it. Parameters named in `FLOAT32_ISLANDS` stay float32.

    Raises `FileNotFoundError` where a file is absent, `WeightsError` for unknown, missing, misshapen or
    quantised tensors.
    """
    source, stored = _open(path, transformer_name)
    config = _arguments(source, WanTransformer3DModel) or _infer(
        source, stored, lambda shapes: transformer_config(shapes, head_dim)
    )
    model = _empty(source, lambda: WanTransformer3DModel(**config))
    _fill(model, source, stored, lambda name: _transformer_dtype(name, dtype), device)
    return model.to(device)


def load_text_encoder(path: Path, *, dtype: torch.dtype, device: torch.device) -> UMT5EncoderModel:
    """A UMT5 encoder from a transformers folder or a single file in Hugging Face's or Wan's names.

    Raises as `load_transformer`.
    """
    source, stored = _open(path, umt5_name)
    stored = {name: file for name, file in stored.items() if name != "encoder.embed_tokens.weight"}
    config = dict(source.config) if source.config else _infer(source, stored, umt5_config)
    config |= {"is_encoder_decoder": False, "tie_word_embeddings": True}
    model = _empty(source, lambda: UMT5EncoderModel(UMT5Config(**config)))
    model.encoder.embed_tokens = model.shared
    _fill(model, source, stored, lambda _: dtype, device)
    return model.to(device)


def load_clip_vision(path: Path, *, device: torch.device) -> CLIPVisionModel:
    """A CLIP vision encoder in float32, from a transformers folder or a single file in Hugging Face's names.

    Raises as `load_transformer`.
    """
    source, stored = _open(path, clip_vision_name)
    stored = {name: file for name, file in stored.items() if name != CLIP_IDLE}
    config = dict(source.config) if source.config else _infer(source, stored, clip_vision_config)
    model = _empty(source, lambda: CLIPVisionModel(CLIPVisionConfig(**config)))
    _fill(model, source, stored, lambda _: torch.float32, device)
    return model.to(device)


def count_parameters(path: Path) -> int:
    """Numbers in the file or folder, from its headers. Raises as `open_source`."""
    return sum(prod(info.shape) for info in open_source(path).infos.values())


def _empty(source: TensorSource, make: Callable[[], Module]) -> Module:
    """The module without memory for its parameters."""
    try:
        with init_empty_weights():
            return make()
    except (TypeError, ValueError) as error:
        raise WeightsError(f"{source.path}: its config.json cannot be used ({error})") from error


def _open(path: Path, rename: Callable[[str], str]) -> tuple[TensorSource, Mapping[str, str]]:
    source = open_source(path)
    names = [name for name in source.infos if not any(unused in name for unused in _UNUSED)]
    refuse_quantised(replace(source, infos={name: source.infos[name] for name in names}))
    try:
        return source, by_parameter(names, rename)
    except ValueError as error:
        raise WeightsError(f"{path} is ambiguous: {error}") from error


def _arguments(source: TensorSource, kind: type) -> dict[str, Any] | None:
    """The constructor's arguments out of a config.json, which also holds other things."""
    if source.config is None:
        return None
    named = source.config.get("_class_name", kind.__name__)
    if named != kind.__name__:
        raise WeightsError(f"{source.path} holds a {named}, not a {kind.__name__}")
    return {key: value for key, value in source.config.items() if not key.startswith("_")}


def _infer(
    source: TensorSource,
    stored: Mapping[str, str],
    infer: Callable[[dict[str, tuple[int, ...]]], dict[str, Any]],
) -> dict[str, Any]:
    try:
        return infer({name: source.infos[file].shape for name, file in stored.items()})
    except (KeyError, ValueError) as error:
        raise WeightsError(
            f"{source.path} is no such model: it lacks {error}; its first tensors are {_some(source.infos)}"
        ) from error


def _fill(
    model: torch.nn.Module,
    source: TensorSource,
    stored: Mapping[str, str],
    dtype_of: Callable[[str], torch.dtype],
    device: torch.device,
) -> None:
    parameters = dict(model.named_parameters())
    _check_names(source, stored, parameters)
    parameter_of = {file: name for name, file in stored.items()}
    for file, tensor in source.read(list(parameter_of)):
        name = parameter_of[file]
        shaped = _reshaped(source, file, tensor, parameters[name].shape)
        # Torch's own memory, not the reader's: kernels round differently where memory is aligned differently.
        value = torch.empty(shaped.shape, dtype=dtype_of(name), device=device).copy_(shaped)
        owner, _, leaf = name.rpartition(".")
        filled = torch.nn.Parameter(value, requires_grad=False)
        setattr(model.get_submodule(owner), leaf, filled)
    model.eval()


def _check_names(source: TensorSource, stored: Mapping[str, str], parameters: Mapping[str, Any]) -> None:
    unknown = [file for name, file in stored.items() if name not in parameters]
    if unknown:
        raise WeightsError(f"{source.path} has {len(unknown)} tensors of unknown use: {_some(unknown)}")
    missing = [name for name in parameters if name not in stored]
    if missing:
        raise WeightsError(f"{source.path} lacks {len(missing)} tensors: {_some(missing)}")


def _reshaped(source: TensorSource, file: str, tensor: torch.Tensor, shape: torch.Size) -> torch.Tensor:
    """The tensor in its parameter's shape; some tools store the patch embedding flat."""
    if tensor.numel() != shape.numel() or tensor.shape[0] != shape[0]:
        raise WeightsError(f"{source.path}: {file} has shape {tuple(tensor.shape)}, not {tuple(shape)}")
    return tensor.reshape(shape)


def _transformer_dtype(name: str, dtype: torch.dtype) -> torch.dtype:
    return torch.float32 if FLOAT32_ISLANDS & set(name.split(".")) else dtype


def _some(names: Any) -> str:
    listed = list(names)
    return ", ".join(listed[:5]) + (", ..." if len(listed) > 5 else "")
