"""Values out of GGUF's blocks, on whatever device the bytes are.

A block packs 32 or 256 values of a row. Formats as ggml defines them (ggml-common.h, ggml-quants.c); d and m
are a block's scale and minimum in half precision. Results are float32.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Final

import torch
from torch import Tensor

_PLAIN: Final = {"F32": torch.float32, "F16": torch.float16, "BF16": torch.bfloat16}
_IQ4: Final = (-127, -104, -83, -65, -49, -35, -22, -10, 1, 13, 25, 38, 53, 69, 89, 113)
"""The sixteen values of the nonlinear 4-bit formats."""


def unpacked(packing: str, data: Tensor, shape: tuple[int, ...]) -> Tensor:
    """`data`: uint8, the bytes of one tensor, flat -> its values, float32 or as stored, in `shape`."""
    if packing in _PLAIN:
        return data.view(_PLAIN[packing]).reshape(shape)
    decode, length = _BLOCKS[packing]
    return decode(data.view(-1, length)).reshape(shape)


def _halves(blocks: Tensor, begin: int, count: int = 1) -> Tensor:
    """Half-precision numbers of every block, as float32: [blocks, count]."""
    return blocks[:, begin : begin + 2 * count].contiguous().view(torch.float16).float()


def _nibbles(packed: Tensor) -> Tensor:
    """[..., n] bytes -> [..., 2n]: all low halves, then all high halves."""
    return torch.cat([packed & 15, packed >> 4], dim=-1)


def _bits(blocks: Tensor, begin: int) -> Tensor:
    """The 32 bits of four bytes, lowest first: [blocks, 32]."""
    shifts = torch.arange(8, device=blocks.device, dtype=torch.uint8)
    return ((blocks[:, begin : begin + 4, None] >> shifts) & 1).flatten(1)


def _q4_0(b: Tensor) -> Tensor:
    return _halves(b, 0) * (_nibbles(b[:, 2:18]).float() - 8)


def _q4_1(b: Tensor) -> Tensor:
    return _halves(b, 0) * _nibbles(b[:, 4:20]).float() + _halves(b, 2)


def _q5_0(b: Tensor) -> Tensor:
    return _halves(b, 0) * ((_nibbles(b[:, 6:22]) | _bits(b, 2) << 4).float() - 16)


def _q5_1(b: Tensor) -> Tensor:
    return _halves(b, 0) * (_nibbles(b[:, 8:24]) | _bits(b, 4) << 4).float() + _halves(b, 2)


def _q8_0(b: Tensor) -> Tensor:
    return _halves(b, 0) * b[:, 2:34].contiguous().view(torch.int8).float()


def _iq4_nl(b: Tensor) -> Tensor:
    return _halves(b, 0) * _iq4_values(_nibbles(b[:, 2:18]))


def _iq4_values(codes: Tensor) -> Tensor:
    table = torch.tensor(_IQ4, dtype=torch.float32, device=codes.device)
    return table[codes.long()]


def _crumbs(packed: Tensor) -> Tensor:
    """[blocks, 64] bytes -> [blocks, 8, 32] values of two bits, of each 32 bytes all lowest first."""
    shifts = torch.tensor([0, 2, 4, 6], dtype=torch.uint8, device=packed.device)
    return ((packed.view(-1, 2, 1, 32) >> shifts[:, None]) & 3).reshape(-1, 8, 32)


def _q2_k(b: Tensor) -> Tensor:
    scales, d, m = b[:, :16], _halves(b, 80), _halves(b, 82)
    values = _crumbs(b[:, 16:80].contiguous()).float().reshape(-1, 16, 16)
    return ((d * (scales & 15).float())[..., None] * values - (m * (scales >> 4).float())[..., None]).flatten(
        1
    )


def _q3_k(b: Tensor) -> Tensor:
    low = _crumbs(b[:, 32:96].contiguous())
    shifts = torch.arange(8, dtype=torch.uint8, device=b.device)
    high = (b[:, None, :32] >> shifts[:, None]) & 1
    values = (low.float() - 4 * (1 - high.float())).reshape(-1, 16, 16)
    packed = b[:, 96:108]
    lows = _nibbles(packed[:, :8])
    tops = torch.cat([(packed[:, 8:12] >> shift) & 3 for shift in (0, 2, 4, 6)], dim=-1)
    scales = (lows | tops << 4).float() - 32
    return ((_halves(b, 108) * scales)[..., None] * values).flatten(1)


def _six_bit_pairs(packed: Tensor) -> tuple[Tensor, Tensor]:
    """Twelve bytes -> eight scales and eight minima of six bits each."""
    a, b, c = packed[:, :4], packed[:, 4:8], packed[:, 8:12]
    scales = torch.cat([a & 63, (c & 15) | (a >> 2) & 48], dim=-1)
    minima = torch.cat([b & 63, (c >> 4) | (b >> 2) & 48], dim=-1)
    return scales.float(), minima.float()


def _q4_k(b: Tensor) -> Tensor:
    scales, minima = _six_bit_pairs(b[:, 4:16])
    values = _nibbles(b[:, 16:144].reshape(-1, 4, 32)).reshape(-1, 8, 32).float()
    return ((_halves(b, 0) * scales)[..., None] * values - (_halves(b, 2) * minima)[..., None]).flatten(1)


def _q5_k(b: Tensor) -> Tensor:
    scales, minima = _six_bit_pairs(b[:, 4:16])
    shifts = torch.arange(8, dtype=torch.uint8, device=b.device)
    high = (b[:, None, 16:48] >> shifts[:, None]) & 1
    values = (_nibbles(b[:, 48:176].reshape(-1, 4, 32)).reshape(-1, 8, 32) | high << 4).float()
    return ((_halves(b, 0) * scales)[..., None] * values - (_halves(b, 2) * minima)[..., None]).flatten(1)


def _q6_k(b: Tensor) -> Tensor:
    low = _nibbles(b[:, :128].reshape(-1, 2, 64)).reshape(-1, 8, 32)
    high = _crumbs(b[:, 128:192].contiguous())
    values = ((low | high << 4).float() - 32).reshape(-1, 16, 16)
    scales = b[:, 192:208].contiguous().view(torch.int8).float()
    return ((_halves(b, 208) * scales)[..., None] * values).flatten(1)


def _iq4_xs(b: Tensor) -> Tensor:
    tops = b[:, 2:4].contiguous().view(torch.int16).int()
    shifts = torch.arange(0, 16, 2, device=b.device, dtype=torch.int32)
    lows = torch.stack([b[:, 4:8] & 15, b[:, 4:8] >> 4], dim=-1).flatten(1).int()
    scales = (lows | ((tops >> shifts) & 3) << 4).float() - 32
    values = _iq4_values(_nibbles(b[:, 8:136].reshape(-1, 8, 16)))
    return ((_halves(b, 0) * scales)[..., None] * values).flatten(1)


_BLOCKS: Final[Mapping[str, tuple[Callable[[Tensor], Tensor], int]]] = {
    "Q4_0": (_q4_0, 18),
    "Q4_1": (_q4_1, 20),
    "Q5_0": (_q5_0, 22),
    "Q5_1": (_q5_1, 24),
    "Q8_0": (_q8_0, 34),
    "Q2_K": (_q2_k, 84),
    "Q3_K": (_q3_k, 110),
    "Q4_K": (_q4_k, 144),
    "Q5_K": (_q5_k, 176),
    "Q6_K": (_q6_k, 210),
    "IQ4_NL": (_iq4_nl, 18),
    "IQ4_XS": (_iq4_xs, 136),
}
"""Packing -> what reads its blocks, and their length in bytes."""
