"""Keeps the colours of a chain of clips together: one constant change of colours for each clip."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from PIL import Image, ImageFilter

from headless.quality.colour import Plane, from_lab, lab
from headless.quality.frame_look import look_at
from headless.segment import Picture

LEAST_GAIN, MOST_GAIN = 0.5, 2.0
_FLAT = 0.5
"""Deviations below it are noise, and no ratio of them means anything."""
_STEP = 5
"""Levels between the colours of the table; it divides 255."""
_CUT_OFF = 0.012
"""Levels by which Pillow's interpolation is too low on average: it rounds down to 64ths up to thrice."""

Triple = tuple[float, float, float]


@dataclass(frozen=True)
class ColourLock:
    """A change of colours in L*a*b*: each becomes `gain * colour + offset`, channel by channel.

    Estimated once for a clip and the same for all of its frames, so it cannot flicker. `shift` is by how much
    it moves the mean of what it was estimated on, `limited` whether a gain was kept between 0.5 and 2, which
    is worth a warning.
    """

    strength: float
    gain: Triple
    offset: Triple
    shift: Triple
    limited: bool = False

    @classmethod
    def estimate(cls, seen: Sequence[Picture], wanted: Sequence[Picture], strength: float) -> ColourLock:
        """From pictures of the clip and pictures that they should look like, uint8 [H, W, 3], of any sizes.

        With the means m and the standard deviations d over the pixels of each, and strength s from 0 to 1:

            colour' = m_seen + s (m_wanted - m_seen) + (1 + s (d_wanted / d_seen - 1)) (colour - m_seen)

        which at strength 1 is the transfer of Reinhard, Ashikhmin, Gooch and Shirley, "Color Transfer between
        Images" (IEEE Computer Graphics and Applications 21(5), 2001), in CIE L*a*b* (D65) in place of their
        space. Deviations below 0.5 count as 0.5. To lock a clip to the one before it, compare its frames that
        repeat that clip's last with those; to lock it to the anchor, compare them with that.

        Raises `ValueError` without pictures and for a strength that is not from 0 to 1.
        """
        if not 0 <= strength <= 1:
            raise ValueError(f"the strength of a colour lock is {strength}; legal is 0 to 1")
        (mean, deviation), (to_mean, to_deviation) = _look(seen), _look(wanted)
        ratio = np.maximum(to_deviation, _FLAT) / np.maximum(deviation, _FLAT)
        held = np.clip(ratio, LEAST_GAIN, MOST_GAIN)
        gain = 1 + strength * (held - 1)
        shift = strength * (to_mean - mean)
        limited = strength > 0 and not np.array_equal(held, ratio)
        return cls(strength, _triple(gain), _triple(mean + shift - gain * mean), _triple(shift), limited)

    @property
    def is_identity(self) -> bool:
        """Whether it changes nothing at all, as at strength 0."""
        return self.gain == (1.0, 1.0, 1.0) and self.shift == (0.0, 0.0, 0.0)

    def apply(self, frame: Picture) -> Picture:
        """The frame in other colours, uint8 [H, W, 3]; the very same object where nothing changes.

        Colours between those of a table of 52 x 52 x 52 are interpolated, which is about 0.02 levels off the
        formula on average; what leaves the range of sRGB is cut off.
        """
        if self.is_identity:
            return frame
        return np.asarray(Image.fromarray(np.ascontiguousarray(frame)).filter(self._table))

    def as_json(self) -> dict[str, object]:
        """What goes into a result."""
        return {
            "strength": self.strength,
            "shift": [round(value, 3) for value in self.shift],
            "gain": [round(value, 4) for value in self.gain],
            "limited": self.limited,
        }

    @cached_property
    def _table(self) -> ImageFilter.Color3DLUT:
        levels = np.arange(0, 256, _STEP, dtype=np.uint8)
        blue, green, red = np.meshgrid(levels, levels, levels, indexing="ij")
        colours = lab(np.stack([red, green, blue], axis=-1).reshape(-1, 3))
        changed = (from_lab(colours * self.gain + self.offset) + _CUT_OFF) / 255
        return ImageFilter.Color3DLUT(len(levels), changed.astype(np.float32).ravel())


def _look(pictures: Sequence[Picture]) -> tuple[Plane, Plane]:
    """Mean and standard deviation of L*, a* and b* over the pixels of pictures, each counting as much."""
    if not pictures:
        raise ValueError("a colour lock needs at least one picture on either side")
    looks = [look_at(picture) for picture in pictures]
    mean: Plane = np.mean([look.lab_mean for look in looks], axis=0)
    square: Plane = np.mean([look.lab_std**2 + look.lab_mean**2 for look in looks], axis=0)
    return mean, np.sqrt(np.maximum(square - mean**2, 0))


def _triple(values: Plane) -> Triple:
    first, second, third = (float(value) for value in values)
    return first, second, third
