"""Whether a published video is the one that its job asked for."""

from __future__ import annotations

import hashlib
from pathlib import Path

import numpy as np

from headless.adapters.numbered_frames import draw_number, read_number
from headless.errors import HeadlessError
from headless.media.video import read_clip
from headless.ports import Storage
from tests.soak.jobs import HEIGHT, WIDTH, Job

LIMIT_BYTES = 10_000_000
CODING_LOSS = 6.0
"""Mean difference of a frame from the drawn one, of 255 levels. H.264 causes less than 2; the next job's
frame differs by 12."""


def what_is_wrong(storage: Storage, job: Job, key: str, sha256: str, scratch: Path) -> str | None:
    """Fetch a video and look at its bytes, and at the number and the colours of every frame."""
    try:
        storage.fetch(key, scratch, LIMIT_BYTES)
        if hashlib.sha256(scratch.read_bytes()).hexdigest() != sha256:
            return "its bytes are not those that were published"
        return _wrong_frames(job, scratch)
    except HeadlessError as error:
        return f"it cannot be read: {error.message}"
    finally:
        scratch.unlink(missing_ok=True)


def _wrong_frames(job: Job, path: Path) -> str | None:
    frames = list(read_clip(path))
    numbers = [read_number(frame) for frame in frames]
    if numbers != list(range(job.frames)):
        return f"its frames are {numbers} instead of 0 to {job.frames - 1}"
    # The start image, the same for all jobs, shows through the first half.
    for number, frame in list(enumerate(frames))[len(frames) // 2 :]:
        drawn = draw_number(number, WIDTH, HEIGHT, job.number)
        if np.abs(frame.astype(np.int16) - drawn).mean() > CODING_LOSS:
            return f"frame {number} is that of another job"
    return None
