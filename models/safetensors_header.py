"""The header of a safetensors file, checked in full before anything believes it. Reads no tensor.

Layout: 8 bytes little-endian length N; N bytes of JSON, `{name: {dtype, shape, data_offsets}, ...}` and maybe
`__metadata__`; then the bytes of the tensors, without a gap or an overlap.
"""

from __future__ import annotations

import json
import math
import os
import stat
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, BinaryIO, Final

MAX_HEADER_BYTES: Final = 25_000_000
MAX_TENSORS: Final = 200_000
MAX_RANK: Final = 8
_NAMES_BY_BITS: Final = {
    64: "F64 I64 U64",
    32: "F32 I32 U32",
    16: "F16 BF16 I16 U16",
    8: "F8_E4M3 F8_E5M2 F8_E8M0 I8 U8 BOOL",
    6: "F6_E2M3 F6_E3M2",
    4: "F4",
}
BITS: Final = {name: bits for bits, names in _NAMES_BY_BITS.items() for name in names.split()}
"""Size of one element by dtype name, in bits."""


class NotSafetensors(ValueError):
    """The file is not what a safetensors file must be. The message says what is wrong."""


@dataclass(frozen=True)
class TensorEntry:
    """One tensor: dtype name, shape, and where its bytes lie behind the header."""

    dtype: str
    shape: tuple[int, ...]
    begin: int
    end: int


@dataclass(frozen=True)
class Header:
    """Everything that the header says."""

    tensors: dict[str, TensorEntry]
    metadata: dict[str, str] = field(default_factory=dict)


def read_header(path: Path) -> Header:
    """Read and check the header of `path`; never blocks on a pipe or a device.

    Raises:
        NotSafetensors: not a regular file, or not a well-formed header for exactly this file.
    """
    with _opened(path) as file:
        size = os.fstat(file.fileno()).st_size
        length = int.from_bytes(file.read(8), "little")
        if size < 10 or not 2 <= length <= size - 8:
            raise NotSafetensors(f"its first 8 bytes are no header length of a file of {size} bytes")
        if length > MAX_HEADER_BYTES:
            raise NotSafetensors(f"its header has {length} bytes, more than {MAX_HEADER_BYTES}")
        return _parse(file.read(length), size - 8 - length)


def _opened(path: Path) -> BinaryIO:
    try:
        # Without O_NONBLOCK a pipe would be waited for before it can be recognised.
        descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError as error:
        raise NotSafetensors(f"it cannot be opened ({error.strerror})") from error
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):
        os.close(descriptor)
        raise NotSafetensors("it is not a regular file")
    return os.fdopen(descriptor, "rb")


def _parse(data: bytes, body: int) -> Header:
    try:
        whole = json.loads(data, object_pairs_hook=_unique)
    except (ValueError, RecursionError) as error:
        raise NotSafetensors(f"its header is not JSON ({str(error)[:100]})") from error
    if not isinstance(whole, dict):
        raise NotSafetensors("its header is not an object")
    metadata = whole.pop("__metadata__", {})
    if not isinstance(metadata, dict) or not all(isinstance(v, str) for v in metadata.values()):
        raise NotSafetensors("its __metadata__ is not an object of texts")
    if len(whole) > MAX_TENSORS:
        raise NotSafetensors(f"it names {len(whole)} tensors, more than {MAX_TENSORS}")
    tensors = {name: _entry(name, value) for name, value in whole.items()}
    _check_layout(tensors, body)
    return Header(tensors, metadata)


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise ValueError("a name stands there twice")
    return found


def _entry(name: str, value: Any) -> TensorEntry:
    if not isinstance(value, dict) or set(value) != {"dtype", "shape", "data_offsets"}:
        raise NotSafetensors(f"the entry of {name[:80]!r} is not dtype, shape and data_offsets")
    dtype, shape, offsets = value["dtype"], value["shape"], value["data_offsets"]
    if not isinstance(dtype, str) or dtype not in BITS:
        raise NotSafetensors(f"{name[:80]!r} has the unknown dtype {str(dtype)[:20]!r}")
    if not _whole_numbers(shape) or len(shape) > MAX_RANK:
        raise NotSafetensors(f"the shape of {name[:80]!r} is not up to {MAX_RANK} whole numbers")
    if not _whole_numbers(offsets) or len(offsets) != 2:
        raise NotSafetensors(f"the data_offsets of {name[:80]!r} are not two whole numbers")
    begin, end = offsets
    if math.prod(shape) * BITS[dtype] != (end - begin) * 8:
        raise NotSafetensors(f"{name[:80]!r} has {end - begin} bytes, which is not its shape times its dtype")
    return TensorEntry(dtype, tuple(shape), begin, end)


def _whole_numbers(value: Any) -> bool:
    return isinstance(value, list) and all(type(n) is int and 0 <= n < 2**48 for n in value)


def _check_layout(tensors: dict[str, TensorEntry], body: int) -> None:
    position = 0
    for name, entry in sorted(tensors.items(), key=lambda item: (item[1].begin, item[1].end)):
        if entry.begin != position:
            raise NotSafetensors(f"the bytes of {name[:80]!r} overlap others or leave a gap")
        position = entry.end
    if position != body:
        raise NotSafetensors(f"its tensors have {position} bytes and the file holds {body}")
