"""LoRA files of every Wan dialect: read strictly, baked into the weights, taken out again exactly."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from safetensors import safe_open
from torch import Tensor

from models.errors import WeightsError
from models.lora_delta import Delta
from models.lora_match import Shapes, match_keys
from models.lora_metadata import adapter_scale
from models.safetensors_header import NotSafetensors, read_header
from models.weights_packed import lay_on_packed, packed_layers

__all__ = ["Lora", "Shapes", "bake", "read_lora", "shapes_of"]


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
    """The shapes of a transformer's parameters, of packed ones as they are unpacked."""
    packed = packed_layers(module)
    parts = {id(part) for layer in packed.values() for part in layer.packed}
    plain = {name: p.shape for name, p in module.named_parameters() if id(p) not in parts}
    return {**plain, **{name: layer.shape for name, layer in packed.items()}}


def read_lora(path: Path, shapes: Shapes) -> Lora:
    """Read a LoRA for a transformer with these parameters. Every key is used, or the file is refused.

    Raises `WeightsError` that names the keys which are unknown, halved, misshapen or of a kind not supported,
    `FileNotFoundError`.
    """
    if not path.is_file():
        raise FileNotFoundError(f"{path} does not exist")
    try:
        header = read_header(path)
        scale = adapter_scale(header.metadata)
    except NotSafetensors as error:
        raise WeightsError(f"{path.name} is not a .safetensors file: {error}") from error
    except ValueError as error:
        raise WeightsError(f"{path.name} {error}") from error
    with safe_open(str(path), framework="pt") as file:
        match = match_keys(header.tensors, shapes, lambda key: not bool(file.get_tensor(key).any()))
        if match.problem is not None:
            raise WeightsError(f"{path.name} {match.problem}")
        deltas = {
            parameter: Delta({part: file.get_tensor(key) for part, key in keys.items()}, scale)
            for parameter, keys in match.used.items()
        }
    return Lora(path, deltas, len(header.tensors))


@torch.inference_mode()
def bake(
    module: torch.nn.Module,
    pristine: Callable[[str], Tensor],
    loras: Sequence[tuple[Lora, float]],
    also: Iterable[str] = (),
) -> None:
    """Write pristine + sum(strength * delta) into every parameter of the LoRAs, and pristine into `also`.

    In place, so that nothing that holds a parameter notices; accumulated in float32 and rounded once.
    `pristine(name)` is the parameter as it was loaded. Packed weights stay as they are and get the same sum
    whenever they are unpacked.
    """
    lay_on_packed(module, [(lora.deltas, strength) for lora, strength in loras], stay=True)
    wanted = {name for lora, _ in loras for name in lora.deltas}
    for name in sorted((wanted | set(also)) - packed_layers(module).keys()):
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
