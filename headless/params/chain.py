"""The segments of a task that is a chain of clips."""

from __future__ import annotations

from typing import Annotated, Final

from pydantic import BaseModel, Field

from headless.params.fields import STRICT, Loras, Media, Mode, NegativePrompt, NumFrames, Prompt, Seed

MAX_SEGMENTS: Final = 256
MAX_SECONDS: Final = 1200.0
SEGMENT_REFERENCES: Final = ("start_image", "end_image", "anchor_image")

Seconds = Annotated[float, Field(ge=0.1, le=MAX_SECONDS)]


class SegmentParams(BaseModel):
    """One segment. What it does not say, the task says for all."""

    model_config = STRICT

    prompt: Prompt | None = None
    """What happens in this segment."""

    negative_prompt: NegativePrompt | None = None
    """What to keep out of it."""

    seconds: Seconds | None = None
    """How long it is in the video."""

    num_frames: NumFrames | None = None
    """Frames of its clip, also those that repeat the end of the segment before."""

    start_image: Media | None = None
    """Its first frame. A later segment begins where the one before ends: there it is that one's end image."""

    end_image: Media | None = None
    """Its last frame."""

    anchor_image: Media | None = None
    """How things look, for SVI."""

    seed: Seed | None = None
    """By default derived from the task's seed and the segment's number."""

    loras: Loras | None = None
    """LoRAs beside those of the model definition, in place of the task's."""

    svi2pro: bool | None = None
    """Condition as SVI 2 Pro was trained."""

    end_frame_mode: Mode | None = None
    """How the model is told about the end image."""

    def references(self) -> dict[str, str]:
        """Field -> reference, of every file that the segment names."""
        return {name: value for name in SEGMENT_REFERENCES if (value := getattr(self, name)) is not None}
