"""The header of a GGUF file: which tensors it holds, how they are packed and where. Needs no torch.

Layout, little-endian: "GGUF"; version; number of tensors; number of entries; entries (name, type, value);
tensors (name, dimensions from the fastest to the slowest, type, offset); padding; the bytes of the tensors.
Source: the specification in the ggml repository, docs/gguf.md.
"""

from __future__ import annotations

import struct
from collections.abc import Mapping
from dataclasses import dataclass
from math import prod
from pathlib import Path
from typing import Any, BinaryIO, Final

MAX_TENSORS: Final = 200_000
MAX_ENTRIES: Final = 100_000
MAX_ITEMS: Final = 10_000_000
MAX_TEXT: Final = 10_000_000
MAX_RANK: Final = 8
_VERSIONS: Final = (2, 3)
_ORIGINAL_SHAPE: Final = "comfy.gguf.orig_shape."
"""Where converters keep the shape of a tensor that they had to store with another one."""
_NUMBERS: Final = {0: "B", 1: "b", 2: "H", 3: "h", 4: "I", 5: "i", 6: "f", 7: "?", 10: "Q", 11: "q", 12: "d"}
_TEXT, _ARRAY = 8, 9
PACKINGS: Final[Mapping[int, tuple[str, int, int]]] = {
    0: ("F32", 1, 4),
    1: ("F16", 1, 2),
    2: ("Q4_0", 32, 18),
    3: ("Q4_1", 32, 20),
    6: ("Q5_0", 32, 22),
    7: ("Q5_1", 32, 24),
    8: ("Q8_0", 32, 34),
    10: ("Q2_K", 256, 84),
    11: ("Q3_K", 256, 110),
    12: ("Q4_K", 256, 144),
    13: ("Q5_K", 256, 176),
    14: ("Q6_K", 256, 210),
    20: ("IQ4_NL", 32, 18),
    23: ("IQ4_XS", 256, 136),
    30: ("BF16", 1, 2),
}
"""Number of a type -> its name, values per block, bytes per block."""
_UNREADABLE: Final[Mapping[int, str]] = {
    9: "Q8_1",
    15: "Q8_K",
    16: "IQ2_XXS",
    17: "IQ2_XS",
    18: "IQ3_XXS",
    19: "IQ1_S",
    21: "IQ3_S",
    22: "IQ2_S",
    24: "I8",
    25: "I16",
    26: "I32",
    27: "I64",
    28: "F64",
    29: "IQ1_M",
    34: "TQ1_0",
    35: "TQ2_0",
    39: "MXFP4",
    40: "NVFP4",
}
"""Known by name, so that a refusal can say it."""


class NotGguf(ValueError):
    """The file is not what a GGUF file must be, or packs its tensors in a way that is not read."""


@dataclass(frozen=True)
class GgufTensor:
    """One tensor: its packing's name, its shape from the slowest dimension on, and its bytes in the file."""

    packing: str
    shape: tuple[int, ...]
    begin: int
    size: int


@dataclass(frozen=True)
class GgufHeader:
    """Everything about the tensors, and the file's entries. Arrays are kept where they are short."""

    tensors: Mapping[str, GgufTensor]
    entries: Mapping[str, Any]


def read_gguf_header(path: Path) -> GgufHeader:
    """Read and check a header. Raises `NotGguf` with a sentence without the file's name, `OSError`."""
    with path.open("rb") as file:
        reader = _Reader(file)
        if reader.take(4) != b"GGUF":
            raise NotGguf('it does not begin with "GGUF"')
        version = reader.number("I")
        if version not in _VERSIONS:
            raise NotGguf(f"its version is {version}; legal versions are {_VERSIONS}")
        count, entry_count = reader.count(MAX_TENSORS, "tensors"), reader.count(MAX_ENTRIES, "entries")
        entries = dict(_entry(reader) for _ in range(entry_count))
        infos = [_info(reader) for _ in range(count)]
        alignment = entries.get("general.alignment", 32)
        if not isinstance(alignment, int) or not 0 < alignment <= 1 << 20:
            raise NotGguf(f"its alignment is {alignment!r}")
        start = -(-file.tell() // alignment) * alignment
        size = file.seek(0, 2)
    return GgufHeader(_placed(infos, entries, start, size), entries)


class _Reader:
    """Takes numbers and texts off a file; a file that ends too early is no GGUF file."""

    def __init__(self, file: BinaryIO) -> None:
        self._file = file

    def take(self, length: int) -> bytes:
        data = self._file.read(length)
        if len(data) != length:
            raise NotGguf("its header is cut short")
        return data

    def number(self, code: str) -> Any:
        return struct.unpack(f"<{code}", self.take(struct.calcsize(f"<{code}")))[0]

    def count(self, limit: int, what: str) -> int:
        found = int(self.number("Q"))
        if found > limit:
            raise NotGguf(f"it names {found} {what}, more than {limit}")
        return found

    def text(self) -> str:
        data = self.take(self.count(MAX_TEXT, "bytes in a text"))
        return data.decode("utf-8", "replace")

    def value(self, kind: int) -> Any:
        if kind in _NUMBERS:
            return self.number(_NUMBERS[kind])
        if kind == _TEXT:
            return self.text()
        if kind != _ARRAY:
            raise NotGguf(f"it has an entry of the unknown type {kind}")
        item, count = int(self.number("I")), self.count(MAX_ITEMS, "items in a list")
        if item in _NUMBERS:
            code = f"<{count}{_NUMBERS[item]}"
            return struct.unpack(code, self.take(struct.calcsize(code)))
        if item != _TEXT:
            raise NotGguf(f"it has a list of the type {item}")
        return tuple(self.text() for _ in range(count))


def _entry(reader: _Reader) -> tuple[str, Any]:
    name = reader.text()
    return name, reader.value(int(reader.number("I")))


def _info(reader: _Reader) -> tuple[str, tuple[int, ...], int, int]:
    name, rank = reader.text(), int(reader.number("I"))
    if rank > MAX_RANK:
        raise NotGguf(f"{name[:80]!r} has {rank} dimensions, more than {MAX_RANK}")
    dimensions = tuple(int(reader.number("Q")) for _ in range(rank))
    return name, dimensions[::-1], int(reader.number("I")), int(reader.number("Q"))


def _placed(
    infos: list[tuple[str, tuple[int, ...], int, int]], entries: Mapping[str, Any], start: int, size: int
) -> dict[str, GgufTensor]:
    found: dict[str, GgufTensor] = {}
    for name, shape, kind, offset in infos:
        if name in found:
            raise NotGguf(f"{name[:80]!r} stands there twice")
        if kind not in PACKINGS:
            raise NotGguf(f"{name[:80]!r} is quantised as {_UNREADABLE.get(kind, f'type {kind}')}, {_LEGAL}")
        packing, values, length = PACKINGS[kind]
        if (shape[-1] if shape else 1) % values:
            raise NotGguf(f"the rows of {name[:80]!r} are no whole blocks of {values} values")
        tensor = GgufTensor(
            packing, _original(name, shape, entries), start + offset, prod(shape) // values * length
        )
        if tensor.begin + tensor.size > size:
            raise NotGguf(f"the bytes of {name[:80]!r} lie behind its end: it is not complete")
        found[name] = tensor
    return found


_LEGAL: Final = f"which is not read; legal are {', '.join(name for name, _, _ in PACKINGS.values())}"


def _original(name: str, shape: tuple[int, ...], entries: Mapping[str, Any]) -> tuple[int, ...]:
    original = entries.get(_ORIGINAL_SHAPE + name)
    if original is None:
        return shape
    if not isinstance(original, tuple) or prod(original) != prod(shape):
        raise NotGguf(f"the original shape of {name[:80]!r} is {original!r}, which does not fit {shape}")
    return tuple(int(n) for n in original)
