"""What a clip is told, by frame and by latent: which picture sits where, and what is handed over."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from headless.planning.chain import ChainClip
from wan2gp_patch.frames import FRAMES_PER_LATENT, EndFrameMode, Source, prefix_frames


@dataclass(frozen=True)
class Slot:
    """Frames `first` to `last` of a clip as it is generated, from 0, and what stands there.

    `what` is the field of the task whose picture it is, or says what of the clip before. `role` is `start`,
    `anchor` (svi2pro's picture of how things look), `before` or `end`. A `known` frame is fixed; what is not
    known is a hint. In end-frame mode `extra_latent` the end image comes one frame after the last.
    """

    what: str
    role: str
    first: int
    last: int
    known: bool

    @property
    def latents(self) -> tuple[int, int]:
        """The first and the last latent in which it lies."""
        return latent_of(self.first), latent_of(self.last)

    def as_json(self) -> dict[str, Any]:
        """`{what, role, frames, latents, known}`, the last frame and latent included."""
        return {
            "what": self.what,
            "role": self.role,
            "frames": [self.first, self.last],
            "latents": list(self.latents),
            "known": self.known,
        }


def latent_of(frame: int) -> int:
    """The latent in which a frame lies: frame 0 alone, then four in each."""
    return 0 if frame == 0 else (frame - 1) // FRAMES_PER_LATENT + 1


def slots(clip: ChainClip) -> tuple[Slot, ...]:
    """Where everything sits that a clip is told, in the order of its frames."""
    return (*_start(clip), *_end(clip))


def _start(clip: ChainClip) -> list[Slot]:
    plan, before = clip.plan, clip_before(clip)
    source = plan.continuation.source
    if source is Source.PIXELS:
        return [
            Slot(
                f"last {prefix_frames(plan.overlap)} frames of {before}", "before", 0, plan.overlap + 4, True
            )
        ]
    if source is Source.LAST_FRAME:
        return [Slot(f"last frame of {before}", "before", 0, 0, True)]
    look = next((clip.fields[name] for name in _looks(clip) if name in clip.fields), None)
    found = [] if look is None else [Slot(look, "anchor" if plan.svi2pro else "start", 0, 0, True)]
    if source is Source.LATENTS and plan.motion_latent_count:
        count = plan.motion_latent_count
        latents = "last latent" if count == 1 else f"last {count} latents"
        found.append(Slot(f"{latents} of {before}", "before", 1, FRAMES_PER_LATENT * count, False))
    return found


def _looks(clip: ChainClip) -> tuple[str, ...]:
    return ("anchor_image", "start_image") if clip.plan.svi2pro else ("start_image",)


def clip_before(clip: ChainClip) -> str:
    """How to call what a clip goes on from."""
    return f"segment {clip.index - 1}" if clip.index else clip.fields.get("continue_from", "the clip before")


def _end(clip: ChainClip) -> list[Slot]:
    if "end_image" not in clip.fields:
        return []
    last = clip.plan.segments[0].num_frames - 1
    field, mode = clip.fields["end_image"], EndFrameMode(clip.plan.end_frame_mode)
    if mode is EndFrameMode.EXTRA_LATENT:
        return [Slot(field, "end", last + 1, last + 1, True)]
    if mode is EndFrameMode.REPEAT_4:
        return [Slot(field, "end", last - 3, last, True)]
    return [Slot(field, "end", last, last, True)]
