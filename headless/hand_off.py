"""What a finished clip leaves to the one that continues it. Nothing of it has been through a video file."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from headless.planning.chain import ChainClip
from headless.segment import Picture, SegmentRequest
from wan2gp_patch.frames import Source, prefix_frames


@dataclass(frozen=True)
class HandOff:
    """`latents`: a file of the sampled latents, less the tail. `frames`: the newest that are shown, uint8."""

    latents: Path | None = None
    frames: tuple[Picture, ...] = ()

    def into(self, clip: ChainClip, request: SegmentRequest) -> SegmentRequest:
        """The request of a clip that goes on from here, in the way that its plan names.

        The first clip of a task has what it goes on from among its inputs, unless that is a last frame.
        """
        if clip.index == 0 and clip.continues is not Source.LAST_FRAME:
            return request
        match clip.continues:
            case Source.LATENTS:
                return replace(request, previous_latents=self.latents)
            case Source.PIXELS:
                return replace(request, prefix=np.stack(self.frames[-prefix_frames(request.overlap) :]))
            case Source.LAST_FRAME:
                # SVI begins with its anchor, so that here the last frame is the anchor.
                anchor = None if clip.plan.svi2pro else request.anchor_image
                return replace(
                    request, start_image=self.frames[-1], anchor_image=anchor, start_is_last_frame=True
                )
            case Source.NOTHING:
                return request


def frames_needed(clip: ChainClip) -> int:
    """How many frames of the clip before a clip may look at."""
    match clip.continues:
        case Source.PIXELS:
            return prefix_frames(clip.plan.overlap)
        case Source.LATENTS:
            return max(1, clip.head_frames)
        case _:
            return 1
