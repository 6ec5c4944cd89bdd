"""Frame and latent arithmetic. Pure: whole numbers in, whole numbers out.

Wan's VAE is causal in time: frame 0 makes one latent frame, every further 4 frames make one more. A clip
therefore has 4k+1 frames. In end-frame mode the last frame is encoded alone as well, so there the VAE reads
4k+2 frames and gives one latent frame more.
"""

from __future__ import annotations

import operator
from dataclasses import dataclass
from enum import StrEnum
from typing import Final, SupportsIndex

from wan2gp_patch.errors import ConditioningError

FRAMES_PER_LATENT: Final = 4
PIXELS_PER_LATENT: Final = 8
SIZE_MULTIPLE: Final = 16
PREFIX_BASE: Final = 5
"""Frames of a prefix video that are read beside the overlap: 5 + overlap is 4k+1."""


class EndFrameMode(StrEnum):
    """How the model is told about an end image, in four numerically different ways. `NONE`: there is none."""

    IN_CHUNK = "in_chunk"
    EXTRA_LATENT = "extra_latent"
    SLOT = "slot"
    REPEAT_4 = "repeat_4"
    NONE = "none"


END_FRAME_MODES: Final = (
    EndFrameMode.IN_CHUNK,
    EndFrameMode.EXTRA_LATENT,
    EndFrameMode.SLOT,
    EndFrameMode.REPEAT_4,
)
"""The modes that can be asked for."""


def mode_named(value: str) -> EndFrameMode:
    """The mode of that name. Raises `ConditioningError` with the legal names."""
    if value not in END_FRAME_MODES:
        names = ", ".join(END_FRAME_MODES)
        raise ConditioningError(f"end_frame_mode is {value!r}; legal values are {names}")
    return EndFrameMode(value)


def whole_number(name: str, value: object) -> int:
    """`value` as an `int`. Raises `ConditioningError` unless it is a whole number."""
    if isinstance(value, bool) or not isinstance(value, SupportsIndex):
        raise ConditioningError(f"{name} is {value!r}; legal are whole numbers")
    return operator.index(value)


def is_clip_length(num_frames: int) -> bool:
    """Whether a clip can have so many frames: 4k+1."""
    return num_frames >= 1 and (num_frames - 1) % FRAMES_PER_LATENT == 0


def is_end_frame_length(num_frames: int) -> bool:
    """Whether the VAE's end-frame mode can read so many frames: 4k+2."""
    return num_frames >= 2 and is_clip_length(num_frames - 1)


def legal_lengths(near: int, *, end_frame: bool = False) -> str:
    """The legal lengths as a reader sees them, with the two around `near`."""
    first = 2 if end_frame else 1
    below = max(first, near - (near - first) % FRAMES_PER_LATENT)
    listed = [first + FRAMES_PER_LATENT * k for k in range(4)]
    around = sorted({below, below + FRAMES_PER_LATENT} - set(listed))
    tail = "".join(f", {n}" for n in around)
    gap = ", ..." if around and around[0] > listed[-1] + FRAMES_PER_LATENT else ""
    return f"{', '.join(map(str, listed))}{gap}{tail}, ... (4k+{first})"


def lengths_that_hold(frames: int, *, end_frame: bool = False) -> str:
    """The clip lengths that have room for `frames` pixel frames, one of which `end_frame` puts beside it."""
    inside = max(1, frames - 1 if end_frame else frames)
    least = inside + (1 - inside) % FRAMES_PER_LATENT
    return (
        f"at least {least}: legal lengths are {', '.join(str(least + 4 * k) for k in range(3))}, ... (4k+1)"
    )


def latent_count(num_frames: int, *, end_frame: bool = False) -> int:
    """Latent frames that the VAE makes of `num_frames` pixel frames: 81 -> 21, in end-frame mode 82 -> 22."""
    legal = is_end_frame_length if end_frame else is_clip_length
    if not legal(num_frames):
        what = "in end-frame mode" if end_frame else "in a clip"
        raise ConditioningError(
            f"{num_frames} frames {what}: legal lengths are {legal_lengths(num_frames, end_frame=end_frame)}"
        )
    return (num_frames - 1) // FRAMES_PER_LATENT + (2 if end_frame else 1)


def frame_count(latents: int, *, end_frame: bool = False) -> int:
    """Pixel frames decoded from `latents` latent frames: 21 -> 81, in end-frame mode 22 -> 82."""
    least = 2 if end_frame else 1
    if latents < least:
        counts = range(least, least + 3)
        lengths = ", ".join(str(frame_count(count, end_frame=end_frame)) for count in counts)
        raise ConditioningError(
            f"{latents} latent frames cannot be decoded; at least {least} are needed: "
            f"legal are {', '.join(map(str, counts))}, ..., which give {lengths}, ... frames"
        )
    body = latents - (1 if end_frame else 0)
    return FRAMES_PER_LATENT * (body - 1) + 1 + (1 if end_frame else 0)


def floor_to_clip_length(num_frames: int) -> int:
    """The longest clip length that is not above `num_frames`: 82 -> 81, 80 -> 77."""
    num_frames = whole_number("num_frames", num_frames)
    if num_frames < 1:
        raise ConditioningError(f"num_frames is {num_frames}; legal lengths are {legal_lengths(num_frames)}")
    return num_frames - (num_frames - 1) % FRAMES_PER_LATENT


def model_latents(num_frames: int, mode: EndFrameMode) -> int:
    """Latent frames that the video model samples for a clip of `num_frames`: one more in `extra_latent`."""
    return latent_count(num_frames) + (1 if mode is EndFrameMode.EXTRA_LATENT else 0)


def decoded_frames(num_frames: int, mode: EndFrameMode) -> int:
    """Pixel frames that decoding gives: one more than the clip has in `extra_latent`, which is dropped."""
    return num_frames + (1 if mode is EndFrameMode.EXTRA_LATENT else 0)


def sequence_length(latents: int, height: int, width: int) -> int:
    """Tokens that the transformer reads for latents [16, T, h, w]: T * h * w / 4 (patches of 2 by 2)."""
    return latents * height * width // 4


class Source(StrEnum):
    """What of an earlier clip a clip continues."""

    NOTHING = "nothing"
    LATENTS = "latents"
    PIXELS = "pixels"
    LAST_FRAME = "last_frame"


@dataclass(frozen=True)
class Continuation:
    """How a clip continues the clip before it. Made by the class methods, which check their numbers.

    `motion_latents` counts latent frames handed over (`LATENTS`), `anchor_latents` those of the anchor before
    them, `overlap` pixel frames beside the five that are always read (`PIXELS`).
    """

    source: Source
    motion_latents: int = 0
    overlap: int = 0
    anchor_latents: int = 1

    @classmethod
    def nothing(cls) -> Continuation:
        """A first clip."""
        return cls(Source.NOTHING)

    @classmethod
    def latents(cls, motion_latents: int, anchor_latents: int = 1) -> Continuation:
        """From the last latents of the clip before, behind the anchor's latent."""
        count = checked_motion_count(motion_latents)
        return cls(Source.LATENTS, motion_latents=count, anchor_latents=anchor_latents)

    @classmethod
    def pixels(cls, overlap: int) -> Continuation:
        """From the last 5 + overlap frames of the clip before."""
        return cls(Source.PIXELS, overlap=checked_overlap(overlap))

    @classmethod
    def last_frame(cls) -> Continuation:
        """From the last frame of the clip before, as a start image."""
        return cls(Source.LAST_FRAME)

    @property
    def head_drop(self) -> int:
        """Decoded frames at the head that repeat what came before (or show the anchor) and are dropped."""
        match self.source:
            case Source.NOTHING:
                return 0
            case Source.LATENTS:
                return frame_count(self.anchor_latents + self.motion_latents)
            case Source.PIXELS:
                return PREFIX_BASE + self.overlap
            case Source.LAST_FRAME:
                return 1


def checked_motion_count(count: int) -> int:
    """`count` itself. Raises `ConditioningError` unless it is a whole number and not negative."""
    if whole_number("motion_latent_count", count) < 0:
        raise ConditioningError(f"motion_latent_count is {count}; legal values are 0, 1, 2, ...")
    return count


def checked_overlap(overlap: int) -> int:
    """`overlap` itself. Raises `ConditioningError` unless it is a multiple of 4 and not negative."""
    overlap = whole_number("overlap", overlap)
    if overlap < 0 or overlap % FRAMES_PER_LATENT:
        raise ConditioningError(f"overlap is {overlap}; legal values are 0, 4, 8, 12, ... (multiples of 4)")
    return overlap


def prefix_frames(overlap: int) -> int:
    """Frames of a prefix video that are read: 5 + overlap, always 4k+1."""
    return PREFIX_BASE + checked_overlap(overlap)


def continuation_of_video(frames: int, overlap: int) -> Continuation:
    """Latent continuation of a video file: `overlap / 4` motion latents, none if it has too few frames."""
    usable = frames >= prefix_frames(overlap)
    return Continuation.latents(overlap // FRAMES_PER_LATENT if usable else 0)


def new_frames(num_frames: int, continuation: Continuation) -> int:
    """Frames that a clip of `num_frames` adds to the video. Raises `ConditioningError` if it adds none."""
    latent_count(num_frames)
    new = num_frames - continuation.head_drop
    if new < 1:
        raise ConditioningError(
            f"a clip of {num_frames} frames adds nothing: its first {continuation.head_drop} frames repeat "
            f"the clip before; num_frames must be {lengths_that_hold(continuation.head_drop + 1)}"
        )
    return new


@dataclass(frozen=True)
class ClipPlan:
    """One clip of a chain, in pixel frames unless named latents.

    `num_frames` are sampled (the requested length and the tail). After decoding, `head_drop` frames go at
    the head and `tail_drop` at the end; the `new_frames` that remain begin at frame `start` of the video.
    `handoff_drop` latents at the end are not handed to the next clip.
    """

    index: int
    start: int
    num_frames: int
    head_drop: int
    tail_drop: int
    handoff_drop: int

    @property
    def new_frames(self) -> int:
        """Frames that this clip adds to the video."""
        return self.num_frames - self.head_drop - self.tail_drop


def plan_chain(
    num_frames: int, clips: int, continuation: Continuation, *, end_tail_latents: int = 0
) -> tuple[ClipPlan, ...]:
    """The clips of a video: the first keeps all its `num_frames`, each further one continues the one before.

    `end_tail_latents` k: a clip that is continued is sampled 4k frames longer, and its last k latents (4k
    frames) are cut before the hand-off; the last clip, which nobody continues, has no tail.
    """
    if clips < 1:
        raise ConditioningError(f"clips is {clips}; legal values are 1, 2, 3, ...")
    if end_tail_latents < 0:
        raise ConditioningError(f"end_tail_latents is {end_tail_latents}; legal values are 0, 1, 2, ...")
    if continuation.source is Source.NOTHING and clips > 1:
        raise ConditioningError(
            f"{clips} clips need something to continue from: latents, pixels or last_frame"
        )
    plans: list[ClipPlan] = []
    start = 0
    for index in range(clips):
        kind = continuation if index else Continuation.nothing()
        tail = end_tail_latents if index < clips - 1 else 0
        cut = FRAMES_PER_LATENT * tail
        new = new_frames(num_frames, kind)
        plans.append(ClipPlan(index, start, num_frames + cut, kind.head_drop, cut, tail))
        start += new
    return tuple(plans)


def chain_frames(num_frames: int, clips: int, continuation: Continuation) -> int:
    """Frames of a video of `clips` clips: F + (N-1) * new frames. Raises as `plan_chain`."""
    return sum(plan.new_frames for plan in plan_chain(num_frames, clips, continuation))


def clips_for(total_frames: int, num_frames: int, continuation: Continuation) -> int:
    """The fewest clips of `num_frames` that together have at least `total_frames` frames."""
    if total_frames < 1:
        raise ConditioningError(f"total_frames is {total_frames}; legal values are 1, 2, 3, ...")
    first = new_frames(num_frames, Continuation.nothing())
    if total_frames <= first:
        return 1
    return 1 + -(-(total_frames - first) // new_frames(num_frames, continuation))
