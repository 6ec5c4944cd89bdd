"""The clips that set the thresholds of the output checks: 17 frames of 128x96, the same on every machine."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType

import numpy as np
import numpy.typing as npt

from headless.segment import Clip, Picture

FRAMES, HEIGHT, WIDTH = 17, 96, 128
Field = npt.NDArray[np.float64]


def scene(shift: float = 0.0, turn: int = 0) -> Field:
    """A coloured landscape of soft waves, moved `shift` pixels to the left; another one for each `turn`."""
    y, x = np.mgrid[0:HEIGHT, 0:WIDTH].astype(np.float64)
    x = x + shift
    waves = [
        128
        + 70 * np.sin(x / (7 + turn) + channel + turn)
        + 50 * np.cos(y / (9 + 2 * turn) + x / 31 - channel)
        for channel in range(3)
    ]
    return np.stack(waves, axis=-1)


def picture(values: Field) -> Picture:
    """Levels of one or three channels, rounded and cut to 0..255."""
    colours = np.broadcast_to(values, (*values.shape[:-1], 3))
    return np.clip(np.rint(colours), 0, 255).astype(np.uint8)


def flat(level: float, noise: float = 0.0, seed: int = 0) -> Picture:
    """One grey level with noise of that standard deviation."""
    grain = np.random.default_rng(seed).normal(0, noise, (HEIGHT, WIDTH, 1)) if noise else 0.0
    return picture(np.full((HEIGHT, WIDTH, 3), float(level)) + grain)


def _clip(frame: Callable[[int], Picture]) -> Clip:
    return np.stack([frame(index) for index in range(FRAMES)])


def _ball(index: int, level: float, background: float, colour: float = 0.0) -> Field:
    """A ball of 12 pixels across that rolls over a flat background; `colour` tints the background."""
    y, x = np.mgrid[0:HEIGHT, 0:WIDTH]
    frame: Field = np.full((HEIGHT, WIDTH, 3), float(background)) + np.array([-colour, 0, colour])
    frame[(y - 48) ** 2 + (x - 20 - 4 * index) ** 2 < 36] = level
    return frame


def _swapped(clip: Clip, first: int, count: int, frame: Picture) -> Clip:
    """The clip with `count` frames from `first` on replaced."""
    changed = clip.copy()
    changed[first : first + count] = frame
    return changed


def moving() -> Clip:
    """The landscape passes, 2 pixels a frame: an ordinary clip."""
    return _clip(lambda i: picture(scene(2.0 * i)))


def _grained(seed: int) -> Picture:
    grain = np.random.default_rng(seed).normal(0, 0.5, (HEIGHT, WIDTH, 3))
    return picture(scene() + grain)


def _night(index: int) -> Picture:
    """Near black, and a dim lamp (24 levels above it, a twentieth of the picture) moves."""
    y, x = np.mgrid[0:HEIGHT, 0:WIDTH]
    frame = np.full((HEIGHT, WIDTH, 3), 6.0)
    frame[(y - 48) ** 2 + (x - 30 - 4 * index) ** 2 < 200] = 30.0
    return picture(frame)


CLIPS: Mapping[str, Callable[[], Clip]] = MappingProxyType(
    {
        "moving": moving,
        "slow": lambda: _clip(lambda i: picture(scene(0.1 * i))),
        "held with grain": lambda: _clip(_grained),
        "small ball": lambda: _clip(lambda i: picture(_ball(i, 230, 120, colour=40))),
        "night": lambda: _clip(_night),
        "mist": lambda: _clip(
            lambda i: picture(127 + (scene(2.0 * i).mean(axis=-1, keepdims=True) - 128) / 6)
        ),
        "overcast sky": lambda: _clip(lambda i: picture(_ball(i, 128, 128, colour=12))),
        "snow": lambda: _clip(lambda i: flat(215, 2.0, i)),
        "dusk": lambda: _clip(lambda i: flat(60, 2.0, i)),
        "flash of black": lambda: _swapped(moving(), 7, 2, flat(0)),
        "black": lambda: _clip(lambda i: flat(0)),
        "black with noise": lambda: _clip(lambda i: flat(4, 2.0, i)),
        "black tail": lambda: _swapped(moving(), 9, 8, flat(0)),
        "grey": lambda: _clip(lambda i: flat(127)),
        "grey with noise": lambda: _clip(lambda i: flat(119, 2.5, i)),
        "grey tail": lambda: _swapped(moving(), 13, 4, flat(127)),
        "frozen": lambda: _clip(lambda i: picture(scene())),
        "frozen with rounding": lambda: _clip(lambda i: picture(scene() + 0.05 * (i % 2))),
        "frozen tail": lambda: _swapped(moving(), 6, 11, moving()[5]),
        "jump": lambda: np.concatenate(
            [moving()[:9], np.stack([picture(scene(2.0 * i, 3)) for i in range(8)])]
        ),
        "colour jump": lambda: np.concatenate(
            [moving()[:9], np.stack([picture(scene(2.0 * i) + np.array([12, 0, -8])) for i in range(9, 17)])]
        ),
        "drifting": lambda: _clip(
            lambda i: picture((scene(2.0 * i) - 128) * (1 + 0.03 * i) + 128 + 3.0 * i * np.array([1, 0, -1]))
        ),
        "warmer light": lambda: _clip(lambda i: picture(scene(2.0 * i) + 0.4 * i * np.array([1, 0, -1]))),
    }
)
"""Name -> clip, uint8 [17, 96, 128, 3]. Those up to `flash of black` are fine, and the last one; a seam is
looked for between frames 8 and 9."""

BORDER = 9


def _blurred(values: Field) -> Field:
    """The mean over 9 x 9 pixels, at the edges over those that are there."""
    for axis in (0, 1):
        padded = np.pad(values, [(4, 4) if a == axis else (0, 0) for a in range(3)], mode="edge")
        values = np.mean([np.roll(padded, -k, axis)[:HEIGHT, :WIDTH] for k in range(9)], axis=0)
    return values


def _numbered(values: Field) -> Field:
    """A strip and a block over the picture, as the fake engine writes its numbers."""
    covered = values.copy()
    covered[: HEIGHT // 8] = 0
    covered[HEIGHT // 3 : 2 * HEIGHT // 3, WIDTH // 3 : WIDTH // 2] = 0
    return covered


LIKENESSES: Mapping[str, Callable[[], Picture]] = MappingProxyType(
    {
        "blurred": lambda: picture(_blurred(scene())),
        "darker": lambda: picture(scene() - 40),
        "less contrast": lambda: picture((scene() - 128) * 0.6 + 128),
        "noisy": lambda: picture(scene() + np.random.default_rng(1).normal(0, 20, (HEIGHT, WIDTH, 3))),
        "numbered": lambda: picture(_numbered(scene())),
        "another scene": lambda: picture(scene(40.0, 3)),
        "plain grey": lambda: flat(127),
        "plain black": lambda: flat(0),
        "pure noise": lambda: np.random.default_rng(2).integers(0, 256, (HEIGHT, WIDTH, 3), dtype=np.uint8),
    }
)
"""Name -> a frame that stands where `picture(scene())` should. Those up to `numbered` still show it."""
