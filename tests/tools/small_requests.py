"""The request of a small clip, for tests that care about one or two of its values."""

from __future__ import annotations

from dataclasses import replace
from typing import Final

from headless.segment import SegmentRequest

SMALL: Final = SegmentRequest(
    model="wan_tiny_i2v",
    prompt="",
    negative_prompt="",
    width=64,
    height=64,
    num_frames=9,
    steps=1,
    guidance_scale=1.0,
    guidance_scale_2=1.0,
    flow_shift=5.0,
    seed=7,
    end_frame_mode="extra_latent",
    motion_latent_count=1,
    svi_pad_empty_frames_with_anchor=False,
)


def small_request(**changes: object) -> SegmentRequest:
    """`SMALL` with other values."""
    return replace(SMALL, **changes)  # type: ignore[arg-type]  # replace() checks the names at run time
