"""Says what a LoRA file is and whether it will load, from its header alone: no model, no torch, no GPU."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Literal

from models.errors import WeightsError
from models.lora_layout import layout_of
from models.lora_match import Match, match_keys
from models.lora_metadata import adapter_scale
from models.lora_names import Part
from models.safetensors_header import Header, NotSafetensors, TensorEntry, read_header
from models.weights_networks import NETWORKS, Network

Experts = Literal["high", "low", "both"]
_NAMES_IN_METADATA: Final = ("ss_output_name", "modelspec.title", "name")
_NOISE: Final = re.compile(r"(high|low)[ _.-]*noise")
_WORD: Final = re.compile(r"(?<![a-z])(high|low)(?![a-z])")
_SIGN_BIT: Final = bytes(byte & 0x7F for byte in range(256))


@dataclass(frozen=True)
class Inspection:
    """One file. `fits`: ids of the networks that it loads for, `base`: the likeliest of their names.

    `problem` is None exactly where some network takes the file.
    """

    name: str
    sha256: str
    size: int
    layout: str
    expert: Experts
    keys: int
    matched: int
    rank: int
    base: str | None
    fits: tuple[str, ...]
    unknown: tuple[str, ...]
    problem: str | None


def inspect_lora(path: Path, name: str = "", networks: Sequence[Network] = NETWORKS) -> Inspection:
    """Look at a LoRA file. `name` replaces the file's own name in the guess at the expert.

    Raises `FileNotFoundError`, `WeightsError` where the file is no safetensors file.
    """
    if not path.is_file():
        raise FileNotFoundError(f"{path} does not exist")
    try:
        header = read_header(path)
    except NotSafetensors as error:
        raise WeightsError(f"{path.name} is not a .safetensors file: {error}") from error
    matches = _matches(path, header, networks)
    best, match = max(matches, key=lambda pair: (pair[1].problem is None, pair[1].matched))
    fits = tuple(network.id for network, found in matches if found.problem is None)
    problem = match.problem or _metadata_problem(header)
    return Inspection(
        name=name or path.name,
        sha256=_sha256(path),
        size=path.stat().st_size,
        layout=layout_of(header.tensors),
        expert=guess_expert(name or path.name, header.metadata),
        keys=len(header.tensors),
        matched=match.matched,
        rank=_rank(header, match),
        base=None if match.problem else _base(best, fits),
        fits=() if problem else fits,
        unknown=match.unknown,
        problem=problem,
    )


def guess_expert(name: str, metadata: Mapping[str, str]) -> Experts:
    """Which expert a LoRA is for, by its file name or else by its title; the tensors do not tell."""
    for text in (Path(name).stem, *(metadata.get(key, "") for key in _NAMES_IN_METADATA)):
        spaced = re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", text).lower()
        found = set(_NOISE.findall(spaced)) or set(_WORD.findall(spaced))
        if found == {"high"}:
            return "high"
        if found == {"low"}:
            return "low"
        if found:
            return "both"
    return "both"


def _matches(path: Path, header: Header, networks: Sequence[Network]) -> list[tuple[Network, Match]]:
    zero = _zero_reader(path, header.tensors)
    return [(network, match_keys(header.tensors, network.shapes(), zero)) for network in networks]


def _zero_reader(path: Path, entries: Mapping[str, TensorEntry]) -> Callable[[str], bool]:
    """Whether a tensor holds nothing but zeros, read from the file a piece at a time."""

    def zero(key: str) -> bool:
        entry = entries[key]
        with path.open("rb") as file:
            start = 8 + int.from_bytes(file.read(8), "little")
            file.seek(start + entry.begin)
            left = entry.end - entry.begin
            while left > 0:
                piece = file.read(min(left, 1 << 20))
                left -= len(piece)
                # A zero with a sign is a zero; the sign is the top bit of some byte.
                if not piece or any(piece.translate(_SIGN_BIT)):
                    return False
        return True

    return zero


def _metadata_problem(header: Header) -> str | None:
    try:
        adapter_scale(header.metadata)
    except ValueError as error:
        return str(error)
    return None


def _rank(header: Header, match: Match) -> int:
    downs = [keys[Part.DOWN] for keys in match.used.values() if Part.DOWN in keys]
    return max((next(iter(header.tensors[key].shape), 0) for key in downs), default=0)


def _base(best: Network, fits: Sequence[str]) -> str:
    """Networks of one width share their inner layers; a LoRA of these alone is at home in all of them."""
    if {"i2v_2_2", "t2v"} <= set(fits):
        return "Wan 14B, any of 2.1 and 2.2"
    return "Wan 2.1 1.3B" if {"t2v_1.3B", "fun_inp_1.3B"} <= set(fits) else best.name


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
