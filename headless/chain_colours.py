"""How the colours of a chain's clips are held together: near the anchor, or near the clip before."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from headless.media.colour_lock import ColourLock
from headless.planning.chain import ChainClip, ChainPlan
from headless.segment import Picture
from wan2gp_patch.frames import Source


@dataclass
class ClipColours:
    """The colour lock of one clip, decided from its own first frames.

    `wanted`: the frames whose colours it is to have. `repeated`: how many frames at the end of its head are
    compared with them, since they repeat what was shown; without any, its first frame is.
    """

    wanted: Sequence[Picture]
    repeated: int
    strength: float
    lock: ColourLock | None = field(default=None, init=False)

    def learn(self, head: list[Picture], first: Picture) -> None:
        """Look at the frames that repeat the clip before, and the first one after them."""
        seen = head[-self.repeated :] if self.repeated else [first]
        self.lock = ColourLock.estimate(seen, self.wanted, self.strength)

    def apply(self, frame: Picture) -> Picture:
        """The frame as it is shown."""
        return frame if self.lock is None else self.lock.apply(frame)


def colours_of(
    chain: ChainPlan, clip: ChainClip, anchor: Picture | None, before: Sequence[Picture]
) -> ClipColours | None:
    """What is done to the colours of a clip; `before`: the newest frames shown before it.

    None where there is nothing to hold to: without a lock, an anchor, or a clip before.
    """
    repeated = clip.head_frames - (clip.plan.continuation.source is Source.LATENTS)
    match chain.colour_lock:
        case "anchor" if anchor is not None:
            return ClipColours([anchor], repeated, chain.colour_lock_strength)
        case "previous" if before:
            common = min(repeated, len(before))
            return ClipColours(before[-max(1, common) :], common, chain.colour_lock_strength)
        case _:
            return None
