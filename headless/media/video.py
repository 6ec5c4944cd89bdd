"""Video files: everything that the rest of the worker needs of them."""

from __future__ import annotations

from headless.media.video_reader import (
    VideoInfo,
    frame_times,
    probe,
    read_clip,
    read_frames,
    read_metadata,
)
from headless.media.video_source import VideoLimits
from headless.media.video_writer import VideoWriter

__all__ = [
    "VideoInfo",
    "VideoLimits",
    "VideoWriter",
    "frame_times",
    "probe",
    "read_clip",
    "read_frames",
    "read_metadata",
]
