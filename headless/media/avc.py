"""The parameter sets of an H.264 stream, as an mp4 keeps them (ISO 14496-15, 5.3.3.1; ITU-T H.264, 7.3.2)."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

PARAMETER_SET_IDS = 32
"""An SPS has an id from 0 to 31. Ours and their PPS share one number."""
_MOST_SPS, _MOST_PPS = 31, 255
"""As many as an `avcC` box can count."""

_SPS, _PPS, _SPS_EXTENSION, _SUBSET_SPS = 7, 8, 13, 15
_PARAMETER_SETS = frozenset({_SPS, _PPS, _SPS_EXTENSION, _SUBSET_SPS})
_LENGTH_SIZE = 4
_HIGH_PROFILE = 100
_EIGHT_BIT_420 = bytes((0xFC | 1, 0xF8, 0xF8, 0))


@dataclass(frozen=True)
class AvcConfig:
    """What a decoder is told before the first picture: profile, level, and every SPS and PPS, in order."""

    profile: int
    compatibility: int
    level: int
    sps: tuple[bytes, ...]
    pps: tuple[bytes, ...]

    @classmethod
    def parse(cls, data: bytes) -> AvcConfig:
        """Read an `avcC` box. `ValueError` for another thing, and for NAL units without 4-byte lengths."""
        try:
            if data[0] != 1 or (data[4] & 3) + 1 != _LENGTH_SIZE:
                raise ValueError("its NAL units have no lengths of 4 bytes")
            sps, at = _sets(data, 5, 0x1F)
            pps, _ = _sets(data, at, 0xFF)
        except IndexError as error:
            raise ValueError("its decoder configuration is cut short") from error
        return cls(data[1], data[2], data[3], sps, pps)

    def to_bytes(self) -> bytes:
        """The `avcC` box's content, for 8-bit 4:2:0."""
        head = bytes((1, self.profile, self.compatibility, self.level, 0xFC | _LENGTH_SIZE - 1))
        sets = bytes((0xE0 | len(self.sps),)) + b"".join(map(_sized, self.sps))
        sets += bytes((len(self.pps),)) + b"".join(map(_sized, self.pps))
        return head + sets + (_EIGHT_BIT_420 if self.profile >= _HIGH_PROFILE else b"")

    def holds(self, other: AvcConfig) -> bool:
        """Whether every set of the other is among these, so that its pictures decode."""
        return set(other.sps) <= set(self.sps) and set(other.pps) <= set(self.pps)

    def merged(self, other: AvcConfig) -> AvcConfig:
        """Both sets of sets, the higher level and profile.

        `ValueError` where two that differ share an id, or there are too many.
        """
        sps = (*self.sps, *(one for one in other.sps if one not in self.sps))
        pps = (*self.pps, *(one for one in other.pps if one not in self.pps))
        if len({sps_id(one) for one in sps}) < len(sps) or len({pps_id(one) for one in pps}) < len(pps):
            raise ValueError("two parameter sets that differ have one id")
        if len(sps) > _MOST_SPS or len(pps) > _MOST_PPS:
            raise ValueError("there are too many parameter sets")
        profile = max(self.profile, other.profile)
        both = self.compatibility & other.compatibility
        return replace(
            self,
            profile=profile,
            compatibility=both,
            level=max(self.level, other.level),
            sps=sps,
            pps=pps,
        )

    def free_id(self) -> int:
        """The smallest id that neither an SPS nor a PPS has. `ValueError` where all 32 are taken."""
        taken = {sps_id(one) for one in self.sps} | {pps_id(one) for one in self.pps}
        for number in range(PARAMETER_SET_IDS):
            if number not in taken:
                return number
        raise ValueError("no id is left")


def sps_id(nal_unit: bytes) -> int:
    """seq_parameter_set_id: after the NAL header, profile, constraints and level."""
    return next(_golomb(nal_unit[4:]))


def pps_id(nal_unit: bytes) -> int:
    """pic_parameter_set_id: right after the NAL header."""
    return next(_golomb(nal_unit[1:]))


def nal_units(sample: bytes) -> Iterator[bytes]:
    """The NAL units of a sample, each after 4 bytes of length. `ValueError` where they do not fill it."""
    at = 0
    while at < len(sample):
        end = at + _LENGTH_SIZE + int.from_bytes(sample[at : at + _LENGTH_SIZE], "big")
        if end > len(sample) or end == at + _LENGTH_SIZE:
            raise ValueError("a sample is not made of NAL units with lengths of 4 bytes")
        yield sample[at + _LENGTH_SIZE : end]
        at = end


def carried_sets(sample: bytes) -> tuple[bytes, ...]:
    """Parameter sets inside a sample, where they replace earlier ones with their ids."""
    return tuple(unit for unit in nal_units(sample) if unit[0] & 0x1F in _PARAMETER_SETS)


def _sets(data: bytes, at: int, mask: int) -> tuple[tuple[bytes, ...], int]:
    count, at = data[at] & mask, at + 1
    found = []
    for _ in range(count):
        end = at + 2 + (data[at] << 8 | data[at + 1])
        if end > len(data):
            raise IndexError
        found.append(data[at + 2 : end])
        at = end
    return tuple(found), at


def _sized(unit: bytes) -> bytes:
    return len(unit).to_bytes(2, "big") + unit


def _golomb(data: bytes) -> Iterator[int]:
    """Unsigned Exp-Golomb numbers (H.264, 9.1), emulation prevention undone."""
    plain = data[:64].replace(b"\x00\x00\x03", b"\x00\x00")
    bits = f"{int.from_bytes(plain, 'big'):0{8 * len(plain)}b}"
    at = 0
    while (one := bits.find("1", at)) >= 0:
        end = 2 * one - at + 1
        yield int(bits[one:end], 2) - 1
        at = end
    raise ValueError("a parameter set is cut short")
