"""The synthetic world: its sentences are true, its pictures are pictures, and seeds decide everything."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from torch import Tensor

from training.world import BACKGROUNDS, COLOURS, SIZES, Motion, Scene, Shape, draw, make_scene

SCENES = [make_scene(seed, *SIZES[seed % 2]) for seed in range(60)]


def _mask(scene: Scene, frame: int, covered: float = 0.2) -> Tensor:
    """[H, W], True where the shape covers so much of a pixel: there another colour changes the picture."""
    painted = [draw(replace(scene, colour=name, becomes=name), frame, 1) for name in ("red", "cyan")]
    difference = (painted[0] - painted[1]).abs().sum(0)[0]
    return difference > covered * difference.max()


def _centre(mask: Tensor) -> tuple[float, float]:
    rows, columns = mask.nonzero().float().mean(0).tolist()
    return columns, rows


def _with(motion: Motion) -> list[Scene]:
    found = [scene for scene in (make_scene(seed) for seed in range(200)) if scene.motion is motion]
    assert len(found) >= 5
    return found[:5]


def test_a_seed_is_a_scene() -> None:
    assert make_scene(5) == make_scene(5) != make_scene(6)
    assert torch.equal(draw(make_scene(5), 3, 4), draw(make_scene(5), 0, 7)[:, 3:])


def test_pictures_are_levels_of_8_bits() -> None:
    for scene in SCENES[:10]:
        levels = (draw(scene, 0, 5) + 1) * 127.5
        assert levels.shape == (3, 5, scene.height, scene.width)
        assert float(levels.min()) >= 0
        assert float(levels.max()) <= 255
        assert torch.allclose(levels, levels.round(), atol=1e-3)


def test_the_sentence_names_what_is_there() -> None:
    for scene in SCENES:
        assert f"a {scene.colour} {scene.shape} {scene.motion}" in scene.prompt
        assert f"over a {scene.background} background" in scene.prompt
        assert (f"turns {scene.becomes}" in scene.prompt) is (scene.becomes != scene.colour)


def test_the_shape_has_its_colour_and_the_rest_the_backgrounds() -> None:
    for scene in SCENES:
        still = replace(scene, becomes=scene.colour)
        frame, mask = (draw(still, 0, 1)[:, 0] + 1) * 127.5, _mask(scene, 0)
        inside = frame[:, _mask(scene, 0, covered=0.98)].median(dim=1).values
        assert (inside - torch.tensor(COLOURS[scene.colour])).abs().max() < 25
        outside = frame[:, ~mask].mean(dim=1)
        assert (outside - torch.tensor(BACKGROUNDS[scene.background])).abs().max() < 25


def test_a_shape_that_turns_has_the_other_colour_from_frame_16_on() -> None:
    scene = next(scene for scene in SCENES if scene.becomes != scene.colour)
    after = replace(scene, colour=scene.becomes)
    assert torch.equal(draw(scene, 16, 3), draw(after, 16, 3))
    assert not torch.equal(draw(scene, 0, 1), draw(after, 0, 1))


@pytest.mark.parametrize(
    ("motion", "across", "down"),
    [(Motion.RIGHT, 1, 0), (Motion.LEFT, -1, 0), (Motion.DOWN, 0, 1), (Motion.UP, 0, -1)],
)
def test_a_shape_moves_as_it_is_said(motion: Motion, across: int, down: int) -> None:
    for scene in _with(motion):
        (x0, y0), (x1, y1) = _centre(_mask(scene, 0)), _centre(_mask(scene, 16))
        assert (x1 - x0) * across + (y1 - y0) * down > 5
        assert abs((x1 - x0) * down) + abs((y1 - y0) * across) < 1.5


@pytest.mark.parametrize(("motion", "sign"), [(Motion.GROWS, 1), (Motion.SHRINKS, -1)])
def test_a_shape_grows_or_shrinks_as_it_is_said(motion: Motion, sign: int) -> None:
    for scene in _with(motion):
        sizes = [int(_mask(scene, frame).sum()) for frame in (0, 8, 16)]
        assert sizes == sorted(sizes, reverse=sign < 0)
        assert len(set(sizes)) == 3


@pytest.mark.parametrize("motion", [Motion.SPINS, Motion.CIRCLES])
def test_a_shape_that_turns_or_circles_keeps_its_size(motion: Motion) -> None:
    for scene in _with(motion):
        sizes = [int(_mask(scene, frame).sum()) for frame in (0, 8, 16)]
        assert max(sizes) < 1.25 * min(sizes)
        assert not torch.equal(_mask(scene, 0), _mask(scene, 8))


def test_round_shapes_do_not_spin() -> None:
    for scene in (make_scene(seed) for seed in range(300)):
        assert scene.motion is not Motion.SPINS or scene.shape not in (Shape.DISC, Shape.RING)


def test_a_shape_is_never_lost() -> None:
    for scene in SCENES:
        for frame in (0, 16, 32, 100, 1000):
            assert int(_mask(scene, frame).sum()) >= 15
