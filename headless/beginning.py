"""What a video has before its first clip: the untouched frames of the one that it extends."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from headless.hand_off import frames_needed
from headless.inputs import Inputs
from headless.media.extend import HeadCopy, copy_head
from headless.media.video import VideoLimits, read_clip
from headless.planning.chain import ChainPlan
from headless.segment import Picture
from wan2gp_patch.adjustment import Adjustment

SEAM_FRAMES: Final = 9
"""Frames before a border that its scores are measured against."""


@dataclass(frozen=True)
class Beginning:
    """`head`: the frames as the first piece of a movie; `newest`: the last of them, oldest first."""

    head: HeadCopy | None = None
    newest: tuple[Picture, ...] = ()

    @property
    def frames(self) -> int:
        """How many there are."""
        return 0 if self.head is None else self.head.frames

    @property
    def adjustments(self) -> tuple[Adjustment, ...]:
        """What of the video was not kept."""
        return () if self.head is None else self.head.adjustments


def beginning_of(
    chain: ChainPlan, inputs: Inputs, folder: Path, check: Callable[[], None], *, strict: bool
) -> Beginning:
    """Copy what `extend_from` names, where the chain extends something. Raises `BadInput`, `DiskFull`."""
    if not chain.extends:
        return Beginning()
    plan, video = chain.first, inputs.files["extend_from"].path
    head = copy_head(
        video,
        folder / "head.mp4",
        width=plan.width,
        height=plan.height,
        fps=plan.fps,
        strict=strict,
        check=check,
    )
    wanted = max(SEAM_FRAMES, frames_needed(chain.clips[0]))
    newest = read_clip(
        video, limits=VideoLimits(), last=wanted, fps=plan.fps, field="extend_from", check=check
    )
    return Beginning(head, tuple(newest))
