from __future__ import annotations

import numpy as np
import pytest

from headless.media.colour_lock import ColourLock
from headless.quality.colour import from_lab, lab
from headless.segment import Picture


def scene(seed: int = 0, height: int = 96, width: int = 128) -> Picture:
    """Soft shapes in every hue, with fine grain, away from black and white."""
    noise = np.random.default_rng(seed)
    x, y = np.meshgrid(np.linspace(0, 7, width), np.linspace(0, 5, height))
    waves = [128 + 45 * np.sin(x + phase + seed) * np.cos(y - phase) for phase in (0, 2, 4)]
    grainy = np.stack(waves, axis=-1) + noise.normal(0, 6, (height, width, 3))
    return np.clip(grainy, 0, 255).astype(np.uint8)


def recoloured(picture: Picture, gain: float, offset: tuple[float, float, float]) -> Picture:
    """As a decoder's drift would have it: contrast about mid grey, and a cast, in L*a*b*."""
    colours = lab(picture)
    middle = np.array([50.0, 0.0, 0.0])
    return np.clip(np.rint(from_lab(middle + gain * (colours - middle) + offset)), 0, 255).astype(np.uint8)


def distance(one: Picture, other: Picture) -> float:
    """Mean Delta E of CIE 1976 over the pixels."""
    return float(np.linalg.norm(lab(one) - lab(other), axis=-1).mean())


def moments(picture: Picture) -> tuple[list[float], list[float]]:
    colours = lab(picture).reshape(-1, 3)
    return colours.mean(axis=0).tolist(), colours.std(axis=0).tolist()


def test_lab_and_back() -> None:
    levels = np.arange(0, 256, 15, dtype=np.uint8)
    colours = np.stack(np.meshgrid(levels, levels, levels), axis=-1).reshape(-1, 3)
    assert np.abs(from_lab(lab(colours)) - colours).max() < 1e-3
    assert from_lab(np.array([[-1.0, 0.0, 0.0]])).max() < 0, "nothing is cut off"


@pytest.mark.parametrize(("gain", "cast"), [(1.0, (3.0, 0.0, 0.0)), (0.85, (-4, 3, 6)), (1.1, (0, -5, 2))])
def test_a_cast_is_taken_away(gain: float, cast: tuple[float, float, float]) -> None:
    """The same frames, once as they should be: afterwards they cannot be told apart."""
    wanted = [scene(seed) for seed in range(4)]
    seen = [recoloured(picture, gain, cast) for picture in wanted]
    lock = ColourLock.estimate(seen, wanted, 1.0)
    later = scene(9)
    assert distance(recoloured(later, gain, cast), later) > 2.4
    assert distance(lock.apply(recoloured(later, gain, cast)), later) < 0.9
    for before, after in zip(wanted, seen, strict=True):
        assert distance(lock.apply(after), before) < 0.9


def test_mean_and_deviation_of_another_picture_are_taken_over() -> None:
    seen, anchor = scene(1), recoloured(scene(5)[::-1, ::2], 0.9, (6, 4, -7))
    (mean, deviation), (to_mean, to_deviation) = (
        moments(ColourLock.estimate([seen], [anchor], 1.0).apply(seen)),
        moments(anchor),
    )
    assert mean == pytest.approx(to_mean, abs=0.4)
    assert deviation == pytest.approx(to_deviation, abs=0.4)


def test_half_the_strength_goes_half_the_way() -> None:
    wanted = scene()
    seen = recoloured(wanted, 0.8, (5, 2, -6))
    half, whole = (ColourLock.estimate([seen], [wanted], strength) for strength in (0.5, 1.0))
    assert half.shift == pytest.approx([value / 2 for value in whole.shift])
    assert [value - 1 for value in half.gain] == pytest.approx([(value - 1) / 2 for value in whole.gain])
    mean, _ = moments(half.apply(seen))
    before, after = moments(seen)[0], moments(wanted)[0]
    assert mean == pytest.approx([(a + b) / 2 for a, b in zip(before, after, strict=True)], abs=0.3)


def test_strength_zero_and_equal_pictures_change_nothing_at_all() -> None:
    seen, wanted = scene(1), scene(2)
    for lock in (ColourLock.estimate([seen], [wanted], 0.0), ColourLock.estimate([seen], [seen], 1.0)):
        assert lock.is_identity
        assert lock.apply(wanted) is wanted
    assert not ColourLock.estimate([seen], [wanted], 0.01).is_identity


def test_every_frame_is_changed_alike() -> None:
    """What one colour becomes depends on the clip, never on the frame: nothing can flicker."""
    lock = ColourLock.estimate([scene(1)], [scene(2)], 1.0)
    first, later = scene(3), scene(4)
    first[:8, :8] = later[40:48, 40:48]
    assert np.array_equal(lock.apply(first)[:8, :8], lock.apply(later)[40:48, 40:48])
    assert np.array_equal(lock.apply(first), lock.apply(first))


def test_close_to_the_formula_and_without_a_bias() -> None:
    """A bias of a tenth of a level would add up over a chain that is locked to what was locked before."""
    lock = ColourLock.estimate([scene(1)], [recoloured(scene(1), 1.08, (2, -3, 3))], 1.0)
    frame = np.random.default_rng(1).integers(20, 236, (96, 128, 3), dtype=np.uint8)
    exact = np.clip(np.rint(from_lab(lab(frame) * lock.gain + lock.offset)), 0, 255)
    error = lock.apply(frame).astype(float) - exact
    assert np.abs(error).mean() < 0.05
    assert np.abs(error.mean(axis=(0, 1))).max() < 0.04
    assert (np.abs(error) > 1).mean() < 0.001


def test_locking_again_and_again_does_not_drift() -> None:
    """As `previous` does: a clip begins with a copy of the last frame, a little off, and is locked to it."""
    first = frame = scene()
    for _ in range(8):
        generated = recoloured(frame, 0.97, (0.8, 0.5, -0.6))
        frame = ColourLock.estimate([generated], [frame], 1.0).apply(generated)
    assert distance(frame, first) < 1.5
    assert moments(frame)[0] == pytest.approx(moments(first)[0], abs=0.3)


def test_flat_pictures_keep_their_contrast_and_great_gains_are_held() -> None:
    grey, busy = np.full((64, 64, 3), 128, np.uint8), scene()
    moved = ColourLock.estimate([grey], [np.full((64, 64, 3), 140, np.uint8)], 1.0)
    assert (moved.gain, moved.limited) == ((1, 1, 1), False)
    assert np.abs(moved.apply(grey).astype(int) - 140).max() <= 1
    stretched = ColourLock.estimate([grey], [busy], 1.0)
    assert (stretched.gain, stretched.limited) == ((2, 2, 2), True)
    assert ColourLock.estimate([busy], [grey], 1.0).gain == (0.5, 0.5, 0.5)
    assert not ColourLock.estimate([grey], [busy], 0.0).limited


def test_as_json() -> None:
    told = ColourLock.estimate([scene()], [recoloured(scene(), 1.0, (2, 0, 0))], 0.5).as_json()
    assert told["strength"] == 0.5
    assert told["shift"] == pytest.approx([1, 0, 0], abs=0.15)
    assert told["gain"] == pytest.approx([1, 1, 1], abs=0.02)
    assert told["limited"] is False


def test_what_makes_no_sense_is_refused() -> None:
    for strength in (-0.1, 1.1, float("nan")):
        with pytest.raises(ValueError, match="legal is 0 to 1"):
            ColourLock.estimate([scene()], [scene()], strength)
    for seen, wanted in (([], [scene()]), ([scene()], [])):
        with pytest.raises(ValueError, match="at least one picture"):
            ColourLock.estimate(seen, wanted, 1.0)


def test_views_are_changed_as_they_look() -> None:
    lock = ColourLock.estimate([scene(1)], [scene(2)], 1.0)
    frame = scene(3)
    assert np.array_equal(lock.apply(frame[::-1])[::-1], lock.apply(frame))
    assert not np.shares_memory(lock.apply(frame), frame)
