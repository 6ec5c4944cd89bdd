"""A synthetic world: one shape that moves over a coloured background, and an English sentence that says so.

Everything follows from a seed. A scene has no end: any frame of it can be drawn, so clips, their
continuations and their anchors can be cut from one scene. Positions are in units of the shorter side.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

import numpy as np
import torch
from torch import Tensor

COLOURS: Final = {
    "red": (220, 40, 40),
    "orange": (240, 140, 30),
    "yellow": (245, 235, 60),
    "green": (50, 200, 70),
    "cyan": (60, 215, 225),
    "blue": (50, 80, 235),
    "pink": (240, 120, 190),
    "white": (245, 245, 245),
}
BACKGROUNDS: Final = {
    "navy": (24, 32, 92),
    "forest": (22, 82, 44),
    "brown": (104, 62, 32),
    "purple": (92, 32, 96),
    "sky": (128, 178, 222),
    "sand": (206, 186, 136),
}
SIZES: Final = ((64, 64), (64, 96))
"""Height and width of the two aspect ratios."""
LENGTHS: Final = (17, 33)
WANDERING: Final = 0.25
"""Share of the scenes that say little about the way."""
TURNING: Final = 0.25
"""Share of the scenes in which the shape changes its colour."""
_TURNED: Final = 16
_SOFT_EDGE: Final = 0.7
"""Pixels over which an edge fades, so that a shape moves by less than a pixel too."""
_SHADE: Final = 30.0
"""Levels between the middle and the bright corner of a background."""
_SPEED: Final = 0.02
"""Of a shape that moves straight on, per frame at pace 1."""


class Shape(StrEnum):
    """What is drawn."""

    DISC = "disc"
    SQUARE = "square"
    TRIANGLE = "triangle"
    RING = "ring"
    CROSS = "cross"


class Motion(StrEnum):
    """What it does."""

    RIGHT = "moves right"
    LEFT = "moves left"
    UP = "moves up"
    DOWN = "moves down"
    GROWS = "grows"
    SHRINKS = "shrinks"
    SPINS = "spins"
    CIRCLES = "circles"
    WANDERS = "wanders"
    """Any straight way, turning and changing its size: only an end image says where it goes."""


DIRECTIONS: Final = {
    Motion.RIGHT: (1.0, 0.0),
    Motion.LEFT: (-1.0, 0.0),
    Motion.UP: (0.0, -1.0),
    Motion.DOWN: (0.0, 1.0),
}


@dataclass(frozen=True)
class Scene:
    """One scene. `x`, `y`: the shape's centre in frame 0, from the middle; `pace`: its change per frame."""

    shape: Shape
    colour: str
    background: str
    motion: Motion
    height: int
    width: int
    x: float
    y: float
    radius: float
    angle: float
    pace: float
    light: float
    becomes: str
    """The colour that it has from frame 16 on."""
    way: tuple[float, float, float, float] = (0.0, 0.0, 0.0, 0.0)
    """Of a shape that wanders: x, y, radius and angle per frame."""

    @property
    def prompt(self) -> str:
        """The sentence that describes the scene."""
        turns = "" if self.becomes == self.colour else f" and turns {self.becomes}"
        return f"a {self.colour} {self.shape} {self.motion}{turns} over a {self.background} background"


def make_scene(seed: int, height: int = 64, width: int = 64) -> Scene:
    """The scene of a seed. Its shape stays inside the picture and bounces off its borders."""
    rng = np.random.Generator(np.random.PCG64([seed, height, width]))
    shape = list(Shape)[rng.integers(len(Shape))]
    motions = [
        motion for motion in Motion if not (shape in (Shape.DISC, Shape.RING) and motion is Motion.SPINS)
    ]
    motion = Motion.WANDERS if rng.random() < WANDERING else motions[rng.integers(len(motions))]
    radius = float(rng.uniform(0.13, 0.22))
    half_x, half_y = _reach(height, width, radius)
    x, y = float(rng.uniform(-half_x, half_x)), float(rng.uniform(-half_y, half_y))
    pace = float(rng.uniform(0.5, 0.9))
    if motion in DIRECTIONS:
        # Anywhere from where it does not come to the border at once: only the prompt tells where it goes.
        along, across = DIRECTIONS[motion]
        room = _SPEED * pace * min(LENGTHS)
        x = float(rng.uniform(-half_x, half_x - room)) * along if along else x
        y = float(rng.uniform(-half_y, half_y - room)) * across if across else y
    if motion in (Motion.GROWS, Motion.SHRINKS):
        radius = float(rng.uniform(0.17, 0.22))
        half_x, half_y = _reach(height, width, 0.33)
        x, y = float(np.clip(x, -half_x, half_x)), float(np.clip(y, -half_y, half_y))
    colour, other = (list(COLOURS)[rng.integers(len(COLOURS))] for _ in range(2))
    turn = float(rng.uniform(0, 2 * math.pi))
    way = (0.018 * math.cos(turn), 0.018 * math.sin(turn), *rng.uniform((-0.004, -0.1), (0.004, 0.1)))
    return Scene(
        shape=shape,
        colour=colour,
        becomes=other if rng.random() < TURNING else colour,
        way=way if motion is Motion.WANDERS else (0.0, 0.0, 0.0, 0.0),
        background=list(BACKGROUNDS)[rng.integers(len(BACKGROUNDS))],
        motion=motion,
        height=height,
        width=width,
        x=x,
        y=y,
        radius=radius,
        angle=float(rng.uniform(0, 2 * math.pi)),
        pace=pace,
        light=float(rng.uniform(0, 2 * math.pi)),
    )


def draw(scene: Scene, first: int, frames: int) -> Tensor:
    """Frames `first` .. of a scene, float32 [3, frames, H, W] in [-1, 1], every value a level of 8 bits."""
    time = torch.arange(first, first + frames, dtype=torch.float32)
    inside = _coverage(scene, time)[:, None]
    levels = _paint(scene, time) * inside + _backdrop(scene) * (1 - inside)
    pixels: Tensor = levels.round().clamp(0, 255).permute(1, 0, 2, 3) / 127.5 - 1
    return pixels


def _paint(scene: Scene, time: Tensor) -> Tensor:
    """[frames, 3, 1, 1] levels: the shape's colour."""
    before, after = (
        torch.tensor(COLOURS[name], dtype=torch.float32) for name in (scene.colour, scene.becomes)
    )
    return torch.lerp(before, after, (time / _TURNED).clamp(0, 1)[:, None])[:, :, None, None]


def _reach(height: int, width: int, radius: float) -> tuple[float, float]:
    """How far a centre may be from the middle, in both directions."""
    unit = min(height, width)
    return max(width / unit / 2 - radius, 0.0), max(height / unit / 2 - radius, 0.0)


def _grid(scene: Scene) -> tuple[Tensor, Tensor]:
    unit = min(scene.height, scene.width)
    y = (torch.arange(scene.height, dtype=torch.float32) + 0.5 - scene.height / 2) / unit
    x = (torch.arange(scene.width, dtype=torch.float32) + 0.5 - scene.width / 2) / unit
    return y.view(-1, 1), x.view(1, -1)


def _backdrop(scene: Scene) -> Tensor:
    """[1, 3, H, W] levels: the background's colour, brighter towards one side."""
    y, x = _grid(scene)
    slope = (math.cos(scene.light) * x + math.sin(scene.light) * y) * 2 * _SHADE
    return torch.tensor(BACKGROUNDS[scene.background], dtype=torch.float32).view(1, 3, 1, 1) + slope


def _bounce(value: Tensor, limit: float) -> Tensor:
    """A way along a line, reflected at both ends."""
    if limit <= 0:
        return torch.zeros_like(value)
    phase = torch.remainder(value + limit, 4 * limit)
    return torch.where(phase < 2 * limit, phase, 4 * limit - phase) - limit


def _coverage(scene: Scene, time: Tensor) -> Tensor:
    """[frames, H, W]: how much of each pixel the shape covers, 0 to 1."""
    unit = min(scene.height, scene.width)
    half_x, half_y = _reach(scene.height, scene.width, scene.radius)
    x, y = torch.full_like(time, scene.x), torch.full_like(time, scene.y)
    radius, angle = torch.full_like(time, scene.radius), torch.full_like(time, scene.angle)
    match scene.motion:
        case Motion.RIGHT | Motion.LEFT | Motion.UP | Motion.DOWN:
            along, across = DIRECTIONS[scene.motion]
            x = _bounce(x + along * _SPEED * scene.pace * time, half_x) if along else x
            y = _bounce(y + across * _SPEED * scene.pace * time, half_y) if across else y
        case Motion.GROWS | Motion.SHRINKS:
            rate = 0.006 * scene.pace * (1 if scene.motion is Motion.GROWS else -1)
            radius = 0.2 + _bounce(radius - 0.2 + rate * time, 0.13)
        case Motion.SPINS:
            angle = angle + 0.1 * scene.pace * time
        case Motion.CIRCLES:
            turn = scene.angle + 0.13 * scene.pace * time
            x = torch.cos(turn) * half_x * 0.7
            y = torch.sin(turn) * half_y * 0.7
        case Motion.WANDERS:
            x = _bounce(x + scene.way[0] * scene.pace * time, half_x)
            y = _bounce(y + scene.way[1] * scene.pace * time, half_y)
            radius = 0.2 + _bounce(radius - 0.2 + scene.way[2] * time, 0.08)
            angle = angle + scene.way[3] * time
    grid_y, grid_x = _grid(scene)
    dx, dy = grid_x - x.view(-1, 1, 1), grid_y - y.view(-1, 1, 1)
    cos, sin = torch.cos(angle).view(-1, 1, 1), torch.sin(angle).view(-1, 1, 1)
    outside = _distance(scene.shape, dx * cos + dy * sin, dy * cos - dx * sin, radius.view(-1, 1, 1))
    return (0.5 - outside * unit / (2 * _SOFT_EDGE)).clamp(0, 1)


def _distance(shape: Shape, u: Tensor, v: Tensor, radius: Tensor) -> Tensor:
    """How far a point is outside the shape; negative inside."""
    match shape:
        case Shape.DISC:
            return torch.hypot(u, v) - radius
        case Shape.SQUARE:
            return torch.maximum(u.abs(), v.abs()) - 0.8 * radius
        case Shape.RING:
            return (torch.hypot(u, v) - 0.7 * radius).abs() - 0.3 * radius
        case Shape.CROSS:
            long, short = torch.maximum(u.abs(), v.abs()), torch.minimum(u.abs(), v.abs())
            return torch.maximum(long - radius, short - 0.33 * radius)
        case Shape.TRIANGLE:
            slanted = 0.8660254 * u.abs() + 0.5 * v
            return torch.maximum(slanted, -v) - 0.55 * radius
