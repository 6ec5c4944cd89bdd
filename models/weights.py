"""Readers for transformers and text encoders: from the files that users have to modules ready to run.

Every tensor of a file is used and every parameter of the module is filled, or the load fails and names the
difference. Tensors stream from the file into their place; there is never a second copy of the model.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from math import prod
from pathlib import Path
from typing import Any, Final, TypeVar

import torch
from accelerate import init_empty_weights
from diffusers import WanTransformer3DModel
from transformers import CLIPVisionConfig, CLIPVisionModel, UMT5Config, UMT5EncoderModel

from models.errors import WeightsError
from models.weights_config import HEAD_DIM, clip_vision_config, transformer_config, umt5_config
from models.weights_dialects import read_weights
from models.weights_gguf import SUFFIX, open_gguf
from models.weights_names import CLIP_IDLE, by_parameter, clip_vision_name, transformer_name, umt5_name
from models.weights_packed import PackedLinear, can_stay_packed
from models.weights_source import open_source
from models.weights_stored import Weights

Module = TypeVar("Module", bound=torch.nn.Module)

FLOAT32_ISLANDS: Final = frozenset(WanTransformer3DModel._keep_in_fp32_modules)
"""Parts of a transformer's parameter names that stay float32 whatever the rest is."""


def load_transformer(
    path: Path,
    *,
    dtype: torch.dtype,
    device: torch.device,
    head_dim: int = HEAD_DIM,
    packed: bool = False,
) -> WanTransformer3DModel:
    """A transformer from a diffusers folder or a single file in Wan's, ComfyUI's or diffusers' names.

    What is quantised is unpacked to `dtype`, on `device`; with `packed` linear layers of the blocks keep
    their packed weight and unpack it when they compute, with the same results.
    `head_dim` is used only where no config.json says it. Parameters named in `FLOAT32_ISLANDS` stay float32.

    Raises `FileNotFoundError` where a file is absent, `WeightsError` for unknown, missing or misshapen
    tensors, and for quantisations that are not read.
    """
    weights, stored = _open(path, transformer_name)
    config = _arguments(weights, WanTransformer3DModel) or _infer(
        weights, stored, lambda shapes: transformer_config(shapes, head_dim)
    )
    model = _empty(weights, lambda: WanTransformer3DModel(**config))
    kept = {n for n, file in stored.items() if packed and can_stay_packed(n, weights.stored[file])}
    _fill(model, weights, stored, lambda name: _transformer_dtype(name, dtype), device, kept)
    return model.to(device)


def load_text_encoder(path: Path, *, dtype: torch.dtype, device: torch.device) -> UMT5EncoderModel:
    """A UMT5 encoder from a transformers folder or a file in Hugging Face's, Wan's or llama.cpp's names.

    Raises as `load_transformer`.
    """
    weights, stored = _open(path, umt5_name)
    stored = {name: file for name, file in stored.items() if name != "encoder.embed_tokens.weight"}
    config = dict(weights.config) if weights.config else _infer(weights, stored, umt5_config)
    config |= {"is_encoder_decoder": False, "tie_word_embeddings": True}
    model = _empty(weights, lambda: UMT5EncoderModel(UMT5Config(**config)))
    model.encoder.embed_tokens = model.shared
    _fill(model, weights, stored, lambda _: dtype, device)
    return model.to(device)


def load_clip_vision(path: Path, *, device: torch.device) -> CLIPVisionModel:
    """A CLIP vision encoder in float32, from a transformers folder or a single file in Hugging Face's names.

    Raises as `load_transformer`.
    """
    weights, stored = _open(path, clip_vision_name)
    stored = {name: file for name, file in stored.items() if name != CLIP_IDLE}
    config = dict(weights.config) if weights.config else _infer(weights, stored, clip_vision_config)
    model = _empty(weights, lambda: CLIPVisionModel(CLIPVisionConfig(**config)))
    _fill(model, weights, stored, lambda _: torch.float32, device)
    return model.to(device)


def count_parameters(path: Path) -> int:
    """Numbers in the model once it is unpacked, from the headers. Raises as `open_weights`."""
    return sum(prod(shape) for shape in open_weights(path).shapes.values())


def transformer_bytes(path: Path, dtype: torch.dtype, *, packed: bool) -> int:
    """What `load_transformer` takes in memory, from the headers. Raises as `open_weights`."""
    weights, stored = _open(path, transformer_name)
    found = [(name, weights.stored[file]) for name, file in stored.items()]
    return sum(
        entry.packed_bytes if packed and can_stay_packed(name, entry) else prod(entry.shape) * dtype.itemsize
        for name, entry in found
    )


def open_weights(path: Path) -> Weights:
    """Look into a GGUF file, a .safetensors file or a folder of these. Nothing but headers is read yet.

    Raises `FileNotFoundError` where something is absent, `WeightsError` where it cannot be read, or is
    quantised in a way that is not.
    """
    return open_gguf(path) if path.suffix == SUFFIX else read_weights(open_source(path))


def _empty(weights: Weights, make: Callable[[], Module]) -> Module:
    """The module without memory for its parameters."""
    try:
        with init_empty_weights():
            return make()
    except (TypeError, ValueError) as error:
        raise WeightsError(f"{weights.path}: its config.json cannot be used ({error})") from error


def _open(path: Path, rename: Callable[[str], str]) -> tuple[Weights, Mapping[str, str]]:
    weights = open_weights(path)
    try:
        return weights, by_parameter(weights.stored, rename)
    except ValueError as error:
        raise WeightsError(f"{path} is ambiguous: {error}") from error


def _arguments(weights: Weights, kind: type) -> dict[str, Any] | None:
    """The constructor's arguments out of a config.json, which also holds other things."""
    if weights.config is None:
        return None
    named = weights.config.get("_class_name", kind.__name__)
    if named != kind.__name__:
        raise WeightsError(f"{weights.path} holds a {named}, not a {kind.__name__}")
    return {key: value for key, value in weights.config.items() if not key.startswith("_")}


def _infer(
    weights: Weights,
    stored: Mapping[str, str],
    infer: Callable[[dict[str, tuple[int, ...]]], dict[str, Any]],
) -> dict[str, Any]:
    try:
        return infer({name: weights.stored[file].shape for name, file in stored.items()})
    except (KeyError, ValueError) as error:
        raise WeightsError(
            f"{weights.path} is no such model: it lacks {error}; its first tensors are "
            f"{_some(weights.stored)}"
        ) from error


def _fill(
    model: torch.nn.Module,
    weights: Weights,
    stored: Mapping[str, str],
    dtype_of: Callable[[str], torch.dtype],
    device: torch.device,
    kept: Collection[str] = (),
) -> None:
    """Fill the parameters; those of the names `kept` stay packed."""
    parameters = dict(model.named_parameters())
    _check_names(weights, stored, parameters)
    parameter_of = {file: name for name, file in stored.items()}
    for file, parts in weights.parts(list(parameter_of), device):
        name = parameter_of[file]
        if name in kept:
            _keep_packed(model, name, weights, file, parts, dtype_of(name))
            continue
        tensor = weights.stored[file].decode(parts)
        shaped = _reshaped(weights, file, tensor, parameters[name].shape)
        # Torch's own memory, not the reader's: kernels round differently where memory is aligned differently.
        value = torch.empty(shaped.shape, dtype=dtype_of(name), device=device).copy_(shaped)
        owner, _, leaf = name.rpartition(".")
        filled = torch.nn.Parameter(value, requires_grad=False)
        setattr(model.get_submodule(owner), leaf, filled)
    model.eval()


def _keep_packed(
    model: torch.nn.Module,
    name: str,
    weights: Weights,
    file: str,
    parts: Sequence[torch.Tensor],
    dtype: torch.dtype,
) -> None:
    """Put a packed layer where the linear layer of this weight is."""
    stored, owner = weights.stored[file], name.rpartition(".")[0]
    linear: Any = model.get_submodule(owner)
    rows, columns = stored.shape
    wanted = (linear.out_features, linear.in_features)
    if wanted != (rows, columns):
        raise WeightsError(f"{weights.path}: {file} has shape {stored.shape}, not {wanted}")
    layer = PackedLinear(parts, stored.decode, (rows, columns), dtype)
    layer.bias = linear.bias
    above, _, leaf = owner.rpartition(".")
    setattr(model.get_submodule(above), leaf, layer)


def _check_names(weights: Weights, stored: Mapping[str, str], parameters: Mapping[str, Any]) -> None:
    unknown = [file for name, file in stored.items() if name not in parameters]
    if unknown:
        raise WeightsError(f"{weights.path} has {len(unknown)} tensors of unknown use: {_some(unknown)}")
    missing = [name for name in parameters if name not in stored]
    if missing:
        raise WeightsError(f"{weights.path} lacks {len(missing)} tensors: {_some(missing)}")


def _reshaped(weights: Weights, file: str, tensor: torch.Tensor, shape: torch.Size) -> torch.Tensor:
    """The tensor in its parameter's shape; some tools store the patch embedding flat."""
    if tensor.numel() != shape.numel() or tensor.shape[0] != shape[0]:
        raise WeightsError(f"{weights.path}: {file} has shape {tuple(tensor.shape)}, not {tuple(shape)}")
    return tensor.reshape(shape)


def _transformer_dtype(name: str, dtype: torch.dtype) -> torch.dtype:
    return torch.float32 if FLOAT32_ISLANDS & set(name.split(".")) else dtype


def _some(names: Any) -> str:
    listed = list(names)
    return ", ".join(listed[:5]) + (", ..." if len(listed) > 5 else "")
