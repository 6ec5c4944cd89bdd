"""LoRA files of every Wan dialect: read strictly, baked into the weights, taken out again exactly."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import torch
from safetensors import SafetensorError, safe_open
from torch import Tensor

from models.errors import WeightsError
from models.lora_delta import Delta
from models.lora_names import Part, is_dora, module_names, parse_key

Shapes = Mapping[str, torch.Size]
"""Parameter name in diffusers' spelling -> shape: what a LoRA is matched against."""
_ADAPTER_METADATA: Final = "lora_adapter_metadata"
"""Where diffusers keeps a LoRA's rank and alpha."""


@dataclass(frozen=True)
class Lora:
    """One file, matched: what it adds to which parameter. `keys` counts the tensors of the file."""

    path: Path
    deltas: Mapping[str, Delta]
    keys: int

    @property
    def rank(self) -> int:
        """The largest rank of its layers."""
        return max((delta.rank or 0 for delta in self.deltas.values()), default=0)


def shapes_of(module: torch.nn.Module) -> Shapes:
    """The shapes of a transformer's parameters."""
    return {name: parameter.shape for name, parameter in module.named_parameters()}


def read_lora(path: Path, shapes: Shapes) -> Lora:
    """Read a LoRA for a transformer with these parameters. Every key is used, or the file is refused.

    Raises `WeightsError` that names the keys which are unknown, halved, misshapen or of a kind not supported,
    `FileNotFoundError`.
    """
    if not path.is_file():
        raise FileNotFoundError(f"{path} does not exist")
    try:
        with safe_open(str(path), framework="pt") as file:
            tensors = {key: file.get_tensor(key) for key in file.keys()}  # noqa: SIM118  # it is no mapping
            scale = _metadata_scale(path, file.metadata() or {})
    except SafetensorError as error:
        raise WeightsError(f"{path.name} is not a .safetensors file: {error}") from error
    deltas = _matched(path, tensors, shapes, scale)
    _check(path, deltas, shapes)
    return Lora(path, deltas, len(tensors))


def _matched(
    path: Path, tensors: Mapping[str, Tensor], shapes: Shapes, scale: float | None
) -> Mapping[str, Delta]:
    dora = [key for key in tensors if is_dora(key)]
    if dora:
        raise WeightsError(f"{path.name} is a DoRA (key {dora[0]}); only LoRA and LoKr can be loaded")
    modules = module_names(shapes)
    found: dict[str, dict[Part, Tensor]] = {}
    unknown: list[str] = []
    for key, tensor in tensors.items():
        parsed = parse_key(key, modules)
        if parsed is None or parsed[0] not in shapes:
            if not _changes_nothing(key, tensor):
                unknown.append(key)
            continue
        parameter, part = parsed
        if part in found.setdefault(parameter, {}):
            raise WeightsError(f"{path.name} has two tensors for {part} of {parameter}, one of them {key}")
        found[parameter][part] = tensor
    if unknown:
        raise WeightsError(
            f"{path.name} does not fit this model: {len(unknown)} of its {len(tensors)} keys are unknown, "
            f"for example {', '.join(unknown[:3])}"
        )
    if not found:
        raise WeightsError(f"{path.name} changes no layer of this model")
    return {parameter: Delta(parts, scale) for parameter, parts in found.items()}


def _changes_nothing(key: str, tensor: Tensor) -> bool:
    """Extraction tools write a difference of zeros for parameters that the other model does not have."""
    return key.endswith((".diff", ".diff_b", ".diff_m")) and not bool(tensor.any())


def _check(path: Path, deltas: Mapping[str, Delta], shapes: Shapes) -> None:
    for parameter, delta in deltas.items():
        problem = delta.problem(shapes[parameter])
        if problem is not None:
            raise WeightsError(f"{path.name} does not fit this model at {parameter}: {problem}")


def _metadata_scale(path: Path, metadata: Mapping[str, str]) -> float | None:
    text = metadata.get(_ADAPTER_METADATA)
    if text is None:
        return None
    told = {key.removeprefix("transformer."): value for key, value in json.loads(text).items()}
    if told.get("rank_pattern") or told.get("alpha_pattern"):
        raise WeightsError(
            f"{path.name} has ranks or alphas per layer in its metadata, which is not supported"
        )
    if "r" in told and "lora_alpha" in told:
        return float(told["lora_alpha"]) / float(told["r"])
    return None


@torch.inference_mode()
def bake(
    module: torch.nn.Module,
    pristine: Callable[[str], Tensor],
    loras: Sequence[tuple[Lora, float]],
    also: Iterable[str] = (),
) -> None:
    """Write pristine + sum(strength * delta) into every parameter of the LoRAs, and pristine into `also`.

    In place, so that nothing that holds a parameter notices; accumulated in float32 and rounded once.
    `pristine(name)` is the parameter as it was loaded.
    """
    wanted = {name for lora, _ in loras for name in lora.deltas}
    for name in sorted(wanted | set(also)):
        parameter = module.get_parameter(name)
        original = pristine(name)
        if name not in wanted:
            parameter.copy_(original)
            continue
        total = original.to(parameter.device, torch.float32, copy=True)
        for lora, strength in loras:
            if name in lora.deltas:
                total += lora.deltas[name].of(parameter.shape, parameter.device) * strength
        parameter.copy_(total)
