"""Which key of a LoRA file is about which parameter of a transformer, decided from names and shapes alone.

Needs no torch: the reader and the inspector come to the same verdict because they ask the same code.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from math import prod
from typing import Final

from models.lora_layout import foreign, is_whole_model
from models.lora_names import Part, module_names, parse_key
from models.safetensors_header import TensorEntry

Shape = tuple[int, ...]
Shapes = Mapping[str, Shape]
"""Parameter name in diffusers' spelling -> shape: what a LoRA is matched against."""
FLOATS: Final = frozenset({"F64", "F32", "F16", "BF16", "F8_E4M3", "F8_E5M2"})
_NO_MATRIX: Final = (-1, -1)
_DIFFERENCES: Final = (".diff", ".diff_b", ".diff_m")


@dataclass(frozen=True)
class Match:
    """The keys of one file, sorted by what they do.

    `used`: parameter -> part -> key. `idle`: differences of zeros for parameters that the model lacks.
    `problem` is one sentence without the file's name, or None where the file can be loaded.
    """

    used: Mapping[str, Mapping[Part, str]]
    idle: tuple[str, ...]
    unknown: tuple[str, ...]
    problem: str | None

    @property
    def matched(self) -> int:
        """How many keys have a place."""
        return sum(len(parts) for parts in self.used.values()) + len(self.idle)


def match_keys(entries: Mapping[str, TensorEntry], shapes: Shapes, zero: Callable[[str], bool]) -> Match:
    """Match the tensors of a file to a model. `zero(key)` says whether a tensor holds nothing but zeros."""
    modules = module_names(shapes)
    used: dict[str, dict[Part, str]] = {}
    idle: list[str] = []
    unknown: list[str] = []
    twice: str | None = None
    for key in entries:
        parsed = parse_key(key, modules)
        if parsed is None or parsed[0] not in shapes:
            (idle if key.endswith(_DIFFERENCES) and zero(key) else unknown).append(key)
            continue
        parameter, part = parsed
        if part in used.setdefault(parameter, {}):
            twice = f"has two tensors for {part} of {parameter}, one of them {key}"
            unknown.append(key)
            continue
        used[parameter][part] = key
    problem = twice or _problem(entries, used, unknown) or _misfit(entries, used, shapes)
    return Match(used, tuple(idle), tuple(unknown), problem)


def _problem(
    entries: Mapping[str, TensorEntry], used: Mapping[str, object], unknown: list[str]
) -> str | None:
    if is_whole_model(entries):
        return "is a whole model and no LoRA: its keys are unknown"
    if unknown:
        count = f"{len(unknown)} of its {len(entries)} keys are unknown, for example"
        other = foreign(unknown)
        if other is not None:
            return f"is {other[0]}, and only LoRA and LoKr for Wan can be loaded: {count} {other[1]}"
        return f"does not fit this model: {count} {', '.join(unknown[:3])}"
    if not used:
        return "changes no layer of this model"
    for key, entry in entries.items():
        if entry.dtype not in FLOATS:
            return f"is quantised: {key} has type {entry.dtype}; legal types are {', '.join(sorted(FLOATS))}"
    return None


def _misfit(
    entries: Mapping[str, TensorEntry], used: Mapping[str, Mapping[Part, str]], shapes: Shapes
) -> str | None:
    for parameter, keys in used.items():
        wrong = misfit({part: entries[key].shape for part, key in keys.items()}, shapes[parameter])
        if wrong is not None:
            return f"does not fit this model at {parameter}: {wrong}"
    return None


def misfit(parts: Mapping[Part, Shape], shape: Shape) -> str | None:
    """What keeps tensors of these shapes from changing a parameter of that shape, or None."""
    found = set(parts) - {Part.ALPHA, Part.DIFF, Part.UP_BIAS}
    if not (found | parts.keys()) - {Part.ALPHA}:
        return "it has an alpha and nothing to scale"
    if found and found != {Part.DOWN, Part.UP} and not is_lokr(found):
        return f"it has {' and '.join(sorted(part.value for part in found))} only, half of what is needed"
    if any(0 in size for size in parts.values()):
        return "it has a tensor without numbers"
    if prod(parts.get(Part.ALPHA, ())) != 1:
        return f"its alpha has {prod(parts[Part.ALPHA])} numbers, not one"
    changes = [_pair(parts), _lokr(parts), *_differences(parts)]
    for rows, columns in (change for change in changes if change is not None):
        if (rows, columns) == _NO_MATRIX:
            return f"its tensors of shapes {', '.join(map(str, parts.values()))} cannot be multiplied"
        if (rows, columns) != _matrix(shape):
            return f"it is made for {rows} x {columns} numbers, and this model has {tuple(shape)} there"
    return None


def is_lokr(parts: set[Part]) -> bool:
    """Whether these are both factors of a Kronecker product, each whole or in two, and nothing else."""
    wholes = [{Part.W1}, {Part.W1_A, Part.W1_B}]
    others = [{Part.W2}, {Part.W2_A, Part.W2_B}]
    return any(parts == one | two for one in wholes for two in others)


def _matrix(shape: Shape) -> tuple[int, int]:
    """Rows and columns of a parameter as LoRAs see it: a convolution is flat, a vector is one column."""
    rows = shape[0] if shape else 1
    return rows, prod(shape) // rows


def _pair(parts: Mapping[Part, Shape]) -> tuple[int, int] | None:
    if Part.UP not in parts:
        return None
    return _product(parts[Part.UP], parts[Part.DOWN])


def _lokr(parts: Mapping[Part, Shape]) -> tuple[int, int] | None:
    if not is_lokr(set(parts) - {Part.ALPHA, Part.DIFF, Part.UP_BIAS}):
        return None
    one = _factor(parts, Part.W1, Part.W1_A, Part.W1_B)
    two = _factor(parts, Part.W2, Part.W2_A, Part.W2_B)
    return one[0] * two[0], one[1] * two[1]


def _factor(parts: Mapping[Part, Shape], whole: Part, a: Part, b: Part) -> tuple[int, int]:
    if whole in parts:
        return _matrix(parts[whole]) if len(parts[whole]) > 1 else _NO_MATRIX
    return _product(parts[a], parts[b])


def _product(left: Shape, right: Shape) -> tuple[int, int]:
    """Rows and columns of a product of two tensors, each with its later dimensions flat."""
    (rows, rank), (inner, columns) = _matrix(left), _matrix(right)
    return (rows, columns) if rank == inner and min(len(left), len(right)) > 1 else _NO_MATRIX


def _differences(parts: Mapping[Part, Shape]) -> list[tuple[int, int]]:
    return [_matrix(parts[part]) for part in (Part.DIFF, Part.UP_BIAS) if part in parts]
