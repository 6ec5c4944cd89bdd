"""A parameter as a file holds it: which of the file's tensors make it up, and how."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

Decode = Callable[[Sequence[Tensor]], Tensor]
"""The tensors of `Stored.keys`, in their order and on one device -> the parameter, plain floating point."""


@dataclass(frozen=True)
class Stored:
    """One parameter. `kind` is for people: `BF16`, `fp8_scaled`, `quanto int8`, `GGUF Q4_K`."""

    keys: tuple[str, ...]
    shape: tuple[int, ...]
    kind: str
    decode: Decode
    packed_bytes: int = 0
    """What its tensors take in the file."""


@dataclass(frozen=True)
class Weights:
    """The parameters of one model by their name in its files, ready to be read one at a time.

    `load(keys)` yields the file's own tensors. `config` is a folder's config.json.
    """

    path: Path
    stored: Mapping[str, Stored]
    load: Callable[[Sequence[str]], Iterator[tuple[str, Tensor]]]
    config: Mapping[str, Any] | None = None

    @property
    def shapes(self) -> Mapping[str, tuple[int, ...]]:
        """Shapes of the parameters."""
        return {name: stored.shape for name, stored in self.stored.items()}

    def kinds(self) -> tuple[str, ...]:
        """How the parameters are stored, each way once, sorted."""
        return tuple(sorted({stored.kind for stored in self.stored.values()}))

    def read(self, names: Sequence[str], device: torch.device) -> Iterator[tuple[str, Tensor]]:
        """Every named parameter, file by file. What is packed is unpacked on `device`."""
        for name, parts in self.parts(names, device):
            yield name, self.stored[name].decode(parts)

    def parts(self, names: Sequence[str], device: torch.device) -> Iterator[tuple[str, list[Tensor]]]:
        """The tensors of every named parameter on `device`, in the order of its keys; packed as they are."""
        owner = {key: name for name in names for key in self.stored[name].keys}
        waiting: dict[str, dict[str, Tensor]] = {}
        for key, tensor in self.load(list(owner)):
            stored = self.stored[owner[key]]
            if len(stored.keys) == 1:
                yield owner[key], [tensor.to(device)]
                continue
            found = waiting.setdefault(owner[key], {})
            found[key] = tensor.to(device)
            if len(found) == len(stored.keys):
                yield owner[key], [found[part] for part in stored.keys]
                del waiting[owner[key]]
