"""The parameters of a GGUF file."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import torch
from torch import Tensor

from models.errors import WeightsError
from models.weights_gguf_blocks import unpacked
from models.weights_gguf_header import GgufTensor, NotGguf, read_gguf_header
from models.weights_stored import Decode, Stored, Weights

SUFFIX = ".gguf"


def open_gguf(path: Path) -> Weights:
    """Look into a GGUF file; bytes are read when a parameter is.

    Raises `FileNotFoundError`, `WeightsError` for a file that is none, is cut short, or packs its tensors in
    a way that is not read.
    """
    if not path.is_file():
        raise FileNotFoundError(f"{path} does not exist")
    try:
        tensors = read_gguf_header(path).tensors
    except NotGguf as error:
        raise WeightsError(f"{path} cannot be read as GGUF: {error}.") from error
    stored = {
        name: Stored((name,), tensor.shape, f"GGUF {tensor.packing}", _decode(tensor), tensor.size)
        for name, tensor in tensors.items()
    }
    return Weights(path, stored, lambda keys: _bytes(path, tensors, keys))


def _decode(tensor: GgufTensor) -> Decode:
    return lambda parts: unpacked(tensor.packing, parts[0], tensor.shape)


def _bytes(
    path: Path, tensors: Mapping[str, GgufTensor], names: Sequence[str]
) -> Iterator[tuple[str, Tensor]]:
    """The bytes of every named tensor, uint8, in the order in which they lie in the file."""
    with path.open("rb", buffering=0) as file:
        for name in sorted(names, key=lambda name: tensors[name].begin):
            data = bytearray(tensors[name].size)
            file.seek(tensors[name].begin)
            left = memoryview(data)
            while left:
                count = file.readinto(left)
                if not count:
                    raise WeightsError(f"{path} ended while {name} was read. Get it again.")
                left = left[count:]
            yield (
                name,
                torch.frombuffer(data, dtype=torch.uint8) if data else torch.empty(0, dtype=torch.uint8),
            )
