"""The plan of a chain as a picture: a strip per segment, with every frame and latent in its place."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageDraw, ImageFont

from headless.params.show import show
from headless.planning.chain import ChainClip, ChainPlan
from headless.planning.slots import Slot, slots
from wan2gp_patch.frames import Source

Picture = npt.NDArray[np.uint8]
_Colour = tuple[int, int, int]

_BACKGROUND: Final[_Colour] = (24, 26, 31)
_TITLE: Final[_Colour] = (242, 244, 248)
_TEXT: Final[_Colour] = (200, 205, 214)
_FAINT: Final[_Colour] = (128, 134, 145)
_NEW: Final[_Colour] = (58, 124, 196)
_CUT: Final[_Colour] = (74, 78, 88)
_KNOWN: Final[_Colour] = (255, 184, 76)
_HINT: Final[_Colour] = (122, 196, 140)
_HANDED: Final[_Colour] = (190, 140, 240)

_WIDTH: Final = 1760
_MARGIN: Final = 28
_LABELS: Final = 250
_THUMB: Final = 84
_FRAMES: Final = 40
_LATENTS: Final = 22
_STRIP: Final = 232
_LOW_STRIP: Final = 96
_MANY: Final = 24
"""With more segments than this, strips are low and have no thumbnails."""


def chain_picture(chain: ChainPlan, pictures: Mapping[str, Picture] | None = None) -> Picture:
    """The plan, RGB, uint8 [H, W, 3]. `pictures`: inputs that are known, by the task's field, for thumbnails.

    A strip has the frames of a clip as it is generated, and below them its latents: orange is known, green a
    hint, blue new, grey cut, and purple marks what is handed to the next.
    """
    low = len(chain.clips) > _MANY
    height = _LOW_STRIP if low else _STRIP
    top = 2 * _MARGIN + 86
    sheet = Image.new("RGB", (_WIDTH, top + height * len(chain.clips) + _MARGIN), _BACKGROUND)
    draw = ImageDraw.Draw(sheet)
    _heading(draw, chain)
    longest = max(clip.plan.segments[0].num_frames for clip in chain.clips) + 1
    scale = (_WIDTH - 2 * _MARGIN - _LABELS) / longest
    for place, clip in enumerate(chain.clips):
        following = chain.clips[place + 1] if place + 1 < len(chain.clips) else None
        strip = _Strip(sheet, draw, clip, following, scale, top + place * height, pictures or {}, low)
        strip.paint()
    return np.asarray(sheet)


def _heading(draw: ImageDraw.ImageDraw, chain: ChainPlan) -> None:
    plan = chain.first
    title = (
        f"{plan.model}   {chain.frames_out} frames, {chain.duration_seconds:.2f} s at {plan.fps} per second"
        f"   {plan.width} x {plan.height}   seed {chain.seed}{'   loop' * chain.loop}"
    )
    draw.text((_MARGIN, _MARGIN), title, _TITLE, _font(26))
    left = _MARGIN
    legend = {
        "known": _KNOWN,
        "a hint": _HINT,
        "new, shown": _NEW,
        "cut": _CUT,
        "handed to the next": _HANDED,
    }
    for name, colour in legend.items():
        draw.rectangle((left, _MARGIN + 54, left + 22, _MARGIN + 72), fill=colour)
        draw.text((left + 30, _MARGIN + 52), name, _TEXT, _font(18))
        left += 60 + int(_font(18).getlength(name))


@dataclass(frozen=True)
class _Strip:
    """One segment, from `top` down. `scale`: pixels per frame."""

    sheet: Image.Image
    draw: ImageDraw.ImageDraw
    clip: ChainClip
    following: ChainClip | None
    scale: float
    top: int
    pictures: Mapping[str, Picture]
    low: bool

    def paint(self) -> None:
        self._labels()
        self._frames()
        self._latents()
        self._handed()
        if not self.low:
            self._captions()

    @property
    def _count(self) -> int:
        return self.clip.plan.segments[0].num_frames

    @property
    def _bar(self) -> int:
        """Where the frames begin."""
        return self.top + (8 if self.low else _THUMB + 34)

    def _x(self, frame: float) -> float:
        return _MARGIN + _LABELS + frame * self.scale

    def _labels(self) -> None:
        clip, first = self.clip, self.clip.first_frame
        lines = [
            f"frames {first} to {first + clip.shown_frames - 1}",
            f"{clip.shown_frames} of {self._count} shown",
            f"seed {clip.seed}",
        ]
        if clip.continues is not Source.NOTHING:
            lines.append(f"from {clip.continues.value.replace('_', ' ')}")
        if "end_image" in clip.fields:
            lines.append(f"end: {clip.plan.end_frame_mode}")
        if clip.alternatives:
            lines.append(f"+ {len(clip.alternatives)} other seeds")
        top = self._bar - (0 if self.low else 62)
        self.draw.text((_MARGIN, top), f"segment {clip.index}", _TITLE, _font(22))
        for number, line in enumerate(lines[: 2 if self.low else 6]):
            self.draw.text((_MARGIN, top + 28 + 20 * number), line, _TEXT, _font(16))

    def _frames(self) -> None:
        clip, count = self.clip, self._count
        shown_until = count - clip.tail_frames
        self._bar_part(0, clip.head_frames, _CUT)
        self._bar_part(clip.head_frames, shown_until, _NEW)
        self._bar_part(shown_until, count, _CUT)
        for slot in slots(clip):
            colour = _KNOWN if slot.known else _HINT
            cut = slot.first < clip.head_frames or slot.last >= shown_until
            # What is cut keeps a grey foot, so that both can be seen.
            foot = _FRAMES // 2 if cut else _FRAMES
            self._bar_part(slot.first, slot.last + 1, colour, foot)
        step = max(1, round(1 / self.scale))
        for frame in range(0, count, step):
            x = self._x(frame)
            self.draw.line((x, self._bar, x, self._bar + _FRAMES - 1), _BACKGROUND)
        if not self.low:
            self._number(clip.head_frames, clip.first_frame, "la")
            self._number(shown_until, clip.first_frame + clip.shown_frames - 1, "ra")

    def _bar_part(self, first: int, until: int, colour: _Colour, height: int = _FRAMES) -> None:
        if until > first:
            right = max(self._x(first) + 1, self._x(until) - 1)
            self.draw.rectangle((self._x(first), self._bar, right, self._bar + height - 1), fill=colour)

    def _number(self, frame: int, number: int, anchor: str) -> None:
        where = (self._x(frame) + (4 if anchor == "la" else -5), self._bar + _FRAMES - 20)
        if self.clip.shown_frames * self.scale > 110:
            self.draw.text(
                where, str(number), _TITLE, _font(15), anchor, stroke_width=2, stroke_fill=_BACKGROUND
            )

    def _latents(self) -> None:
        top = self._bar + _FRAMES + 6
        told = {index: slot.known for slot in slots(self.clip) for index in range(*_latents(slot))}
        shown_until = self._count - self.clip.tail_frames
        for latent in range(self.clip.plan.segments[0].latents):
            first = 0 if latent == 0 else 4 * latent - 3
            until = min(4 * latent + 1, self._count) if first < self._count else self._count + 1
            cut = until <= self.clip.head_frames or first >= shown_until
            colour = _CUT if cut else _NEW
            if latent in told:
                colour = _KNOWN if told[latent] else _HINT
            box = (self._x(first), top, max(self._x(first) + 1, self._x(until) - 2), top + _LATENTS - 1)
            self.draw.rectangle(box, fill=colour if latent in told else None, outline=colour)

    def _handed(self) -> None:
        """What the next clip goes on from."""
        if self.following is None:
            return
        until = self._count - self.clip.tail_frames
        first = max(0, until - _sees(self.following))
        top = self._bar + _FRAMES + _LATENTS + 10
        self.draw.rectangle((self._x(first), top, self._x(until) - 2, top + 4), fill=_HANDED)
        if not self.low:
            count = until - first
            text = f"{count} {'frame' if count == 1 else 'frames'} to segment {self.following.index}"
            self.draw.text((self._x(until) - 2, top + 8), text, _HANDED, _font(16), anchor="ra")

    def _captions(self) -> None:
        left = float(_MARGIN + _LABELS)
        for slot in slots(self.clip):
            middle = (self._x(slot.first) + self._x(slot.last + 1)) / 2
            left = self._caption(slot, middle, left) + 16
        top = self._bar + _FRAMES + _LATENTS + 16
        self.draw.text((_MARGIN + _LABELS, top), show(self.clip.plan.prompt), _FAINT, _font(16))

    def _caption(self, slot: Slot, middle: float, left: float) -> float:
        """Thumbnail, name and a line to the place; where it ends."""
        font, colour = _font(16), _KNOWN if slot.known else _HINT
        text = f"{slot.what} (anchor)" if slot.role == "anchor" else slot.what
        thumb = self._thumbnail(slot.what)
        width = (0 if thumb is None else thumb.width + 8) + font.getlength(text)
        start = min(max(left, middle - width / 2), _WIDTH - _MARGIN - width)
        bottom = self._bar - 12
        at = start
        if thumb is not None:
            self.sheet.paste(thumb, (int(start), bottom - thumb.height))
            self.draw.rectangle(
                (int(start) - 1, bottom - thumb.height - 1, int(start) + thumb.width, bottom), outline=colour
            )
            at += thumb.width + 8
        self.draw.text((at, bottom - 2), text, colour, font, anchor="ls")
        foot = min(max(middle, start + 6), start + width)
        elbow = self._bar - 6
        self.draw.line((foot, bottom + 1, foot, elbow, middle, elbow, middle, self._bar - 1), colour, 2)
        return start + width

    def _thumbnail(self, field: str) -> Image.Image | None:
        picture = self.pictures.get(field)
        if picture is None:
            return None
        image = Image.fromarray(np.ascontiguousarray(picture))
        image.thumbnail((2 * _THUMB, _THUMB), Image.Resampling.LANCZOS)
        return image


def _sees(clip: ChainClip) -> int:
    """How many frames of the clip before a clip is made from."""
    if clip.continues is Source.LATENTS:
        return 4 * clip.plan.motion_latent_count
    return clip.plan.overlap + 5 if clip.continues is Source.PIXELS else 1


def _latents(slot: Slot) -> tuple[int, int]:
    first, last = slot.latents
    return first, last + 1


def _font(size: int) -> ImageFont.FreeTypeFont | ImageFont.ImageFont:
    return ImageFont.load_default(size)
