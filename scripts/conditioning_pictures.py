"""Draw the pictures of docs/conditioning.md: what the model is told about each frame, mode by mode.

    python scripts/conditioning_pictures.py [FOLDER]

Nothing is drawn by hand: a stand-in for the VAE writes into its latents which picture each frame came from,
the conditioning itself arranges them, and its latents and masks are what is drawn.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

ROOT: Final = Path(__file__).resolve().parent.parent
if __name__ == "__main__":
    sys.path.insert(0, str(ROOT))

import torch  # noqa: E402 - found from a checkout by the lines above
from PIL import Image, ImageDraw, ImageFont  # noqa: E402
from torch import Tensor  # noqa: E402

from wan2gp_patch.any2video import (  # noqa: E402
    image_to_video_conditioning,
    svi_end_frame_conditioning,
    svi_pro_conditioning,
)
from wan2gp_patch.conditioning import Conditioning  # noqa: E402

FRAMES: Final = 21
SIZE: Final = 16
CELL, GAP, LEFT, TOP = 52, 4, 190, 66
INK, PAPER, FAINT = "#1c2430", "#ffffff", "#8a94a3"
KNOWN, UNKNOWN, SHOWN = "#1f7a4d", "#eef1f4", "#f6e7b0"


@dataclass(frozen=True)
class Role:
    """What a frame shows: a letter, a name for the legend, a colour. `code` is how the latents carry it."""

    code: int
    letter: str
    name: str
    colour: str


ZERO = Role(0, "", "zero latents, no pixels", "#fcfdfe")
GREY = Role(10, "", "empty, encoded as mid-grey", "#c9ced6")
START = Role(12, "S", "start image", "#4c8bd6")
END = Role(14, "E", "end image", "#e0813a")
ANCHOR = Role(16, "A", "anchor image", "#7a6fd0")
PREFIX = Role(18, "P", "last frames of the clip before", "#3fa7a0")
MOTION = Role(19, "M", "last latents of the clip before", "#3fa7a0")
ROLES: Final = {role.code: role for role in (ZERO, GREY, START, END, ANCHOR, PREFIX, MOTION)}


def frames_of(role: Role, count: int = 1) -> Tensor:
    """Pixels [3, count, 16, 16] that show this role."""
    return torch.full((3, count, SIZE, SIZE), (role.code - GREY.code) / 10)


class RoleVae:
    """Stands in for the VAE: channel i of its latents holds the role of sub-frame i."""

    def encode(self, video: Tensor | Sequence[Tensor], end_frame: bool = False) -> Tensor:
        """Latents [16, T, 2, 2] of pixels [3, t, 16, 16]."""
        pixels = video if isinstance(video, Tensor) else torch.cat(list(video), dim=1)
        codes = (pixels[0, :, 0, 0] * 10 + GREY.code).round()
        body = codes[:-1] if end_frame else codes
        groups = [codes[:1].expand(4), *(body[i : i + 4] for i in range(1, len(body), 4))]
        groups += [codes[-1:].expand(4)] if end_frame else []
        latents = torch.zeros(16, len(groups), 2, 2)
        latents[:4] = torch.stack(groups, dim=1)[:, :, None, None]
        return latents


def image_to_video(mode: str) -> Conditioning:
    return image_to_video_conditioning(
        RoleVae(),
        start=frames_of(START),
        end=frames_of(END),
        num_frames=FRAMES,
        height=SIZE,
        width=SIZE,
        end_frame_mode=mode,
    )


def svi_continuation() -> Conditioning:
    anchor = RoleVae().encode(frames_of(ANCHOR))
    previous = torch.full((16, 6, 2, 2), float(MOTION.code))
    return svi_pro_conditioning(anchor, num_frames=FRAMES, previous_latents=previous, motion_latent_count=1)


def svi_prefix_and_end() -> Conditioning:
    return svi_end_frame_conditioning(
        RoleVae(),
        anchor=frames_of(ANCHOR),
        end=frames_of(END),
        num_frames=FRAMES,
        prefix_video=frames_of(PREFIX, 12),
    )


def svi_latents_and_end() -> Conditioning:
    return svi_end_frame_conditioning(
        RoleVae(),
        anchor=frames_of(ANCHOR),
        end=frames_of(END),
        num_frames=FRAMES,
        previous_latents=torch.full((16, 6, 2, 2), float(MOTION.code)),
    )


PICTURES: Final[dict[str, tuple[str, Callable[[], Conditioning]]]] = {
    "in_chunk": ("in_chunk: the end is the last frame of the last chunk", lambda: image_to_video("in_chunk")),
    "extra_latent": (
        "extra_latent: the end has a latent of its own (the default)",
        lambda: image_to_video("extra_latent"),
    ),
    "slot": ("slot: the end, encoded alone, takes the last slot", lambda: image_to_video("slot")),
    "repeat_4": ("repeat_4: the end fills the last chunk", lambda: image_to_video("repeat_4")),
    "svi_continuation": ("SVI: a clip continued from its last latents", svi_continuation),
    "svi_prefix_and_end": ("SVI with an end image, continued from frames", svi_prefix_and_end),
    "svi_latents_and_end": ("SVI with an end image, continued from latents", svi_latents_and_end),
}


class Strip:
    """One picture: rows over the clip's frames, latent frames as blocks of up to four columns."""

    def __init__(self, title: str, conditioning: Conditioning) -> None:
        self._given = conditioning
        self._blocks = _columns(conditioning)
        width = LEFT + conditioning.decoded_frames * CELL + 24
        self._image = Image.new("RGB", (width, TOP + 3 * (CELL + 26) + 44), PAPER)
        self._draw = ImageDraw.Draw(self._image)
        self._text(24, 18, title, 24)

    def drawn(self) -> Image.Image:
        """The finished picture."""
        self._row(0, "latents show", self._content)
        self._row(1, "known (mask)", self._mask)
        self._decoded(2)
        self._legend()
        return self._image

    def _row(self, row: int, name: str, cell: Callable[[int, int], tuple[str, str]]) -> None:
        """One cell per sub-frame. A latent of one frame has its four sub-frames in one column."""
        top = self._top(row)
        self._text(24, top + CELL // 2 - 9, name, 18)
        for latent, (first, columns) in enumerate(self._blocks):
            left = LEFT + first * CELL
            width = (columns * CELL - GAP) / 4
            for sub in range(4):
                colour, letter = cell(latent, sub)
                self._box(left + sub * width, top, width, colour, letter)
            box = (left, top, left + columns * CELL - GAP, top + CELL)
            self._draw.rectangle(box, outline=INK, width=2)

    def _content(self, latent: int, sub: int) -> tuple[str, str]:
        role = ROLES[round(float(self._given.latents[sub, latent, 0, 0]))]
        return role.colour, role.letter

    def _mask(self, latent: int, sub: int) -> tuple[str, str]:
        known = bool(self._given.mask[sub, latent, 0, 0])
        return (KNOWN, "1") if known else (UNKNOWN, "0")

    def _decoded(self, row: int) -> None:
        top = self._top(row)
        self._text(24, top + CELL // 2 - 9, "decoded frames", 18)
        new_from = self._given.continuation.head_drop
        for frame in range(self._given.decoded_frames):
            x = LEFT + frame * CELL
            kept = new_from <= frame < self._given.num_frames
            self._box(x, top, CELL - GAP, SHOWN if kept else PAPER, str(frame) if kept else "")
            box = (x, top, x + CELL - GAP, top + CELL)
            self._draw.rectangle(box, outline=INK if kept else FAINT, width=2 if kept else 1)
            if not kept:
                self._cross(x + 8, top + 10, CELL - GAP - 16)

    def _legend(self) -> None:
        codes = self._given.latents[:4, :, 0, 0].flatten().round().tolist()
        x, y = LEFT, self._top(3) + 2
        for role in [role for code, role in ROLES.items() if code in codes]:
            self._box(x, y, 22, role.colour, "", height=22)
            self._draw.rectangle((x, y, x + 22, y + 22), outline=INK)
            x = self._text(x + 30, y + 1, role.name, 17) + 26
        if self._given.continuation.head_drop or self._given.decode_end_frame:
            self._cross(x, y, 22)
            self._text(x + 30, y + 1, "dropped after decoding", 17)

    def _box(self, x: float, top: int, width: float, colour: str, letter: str, *, height: int = CELL) -> None:
        right = x + width
        self._draw.rectangle((x, top, right, top + height), fill=colour, outline=FAINT)
        if colour == ZERO.colour:
            self._draw.line((x, top + height, right, top), fill=GREY.colour, width=2)
        if not letter:
            return
        size = 20 if width > CELL / 2 else 12
        font = ImageFont.load_default(size)
        ink = INK if colour in (PAPER, UNKNOWN, SHOWN, GREY.colour) else PAPER
        left = (x + right - self._draw.textlength(letter, font=font)) / 2
        self._draw.text((left, top + CELL / 2 - size * 0.6), letter, fill=ink, font=font)

    def _cross(self, x: float, y: float, size: int) -> None:
        self._draw.line((x, y, x + size, y + size), fill=FAINT, width=3)
        self._draw.line((x + size, y, x, y + size), fill=FAINT, width=3)

    def _text(self, x: float, y: float, text: str, size: int) -> int:
        font = ImageFont.load_default(size)
        self._draw.text((x, y), text, fill=INK, font=font)
        return int(x + self._draw.textlength(text, font=font))

    @staticmethod
    def _top(row: int) -> int:
        return TOP + row * (CELL + 26)


def _columns(conditioning: Conditioning) -> list[tuple[int, int]]:
    """First column and number of columns of each latent: the first stands for 1 frame, the others for 4."""
    count = conditioning.latents.shape[1]
    blocks = [(0, 1), *((4 * i - 3, 4) for i in range(1, count))]
    if conditioning.decode_end_frame:
        blocks[-1] = (blocks[-1][0], 1)
    return blocks


def write(folder: Path) -> None:
    """Draw every picture into `folder`."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, (title, make) in PICTURES.items():
        Strip(title, make()).drawn().save(folder / f"{name}.png", optimize=True)
        print(folder / f"{name}.png")


if __name__ == "__main__":
    write(Path(sys.argv[1]) if len(sys.argv) > 1 else ROOT / "docs" / "img" / "conditioning")
