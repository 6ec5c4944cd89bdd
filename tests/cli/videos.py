"""Videos with settings in them, as a worker would have made them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np

from headless.media.video import VideoWriter

TASK = "0d8f7a4e-5a1c-4a75-9d0e-6f0f6f1c2b3a"


def settings(request: dict[str, Any] | None = None, **changes: Any) -> dict[str, Any]:
    """What `headless.result.metadata` writes, in short."""
    told = {
        "format": 1,
        "task": TASK,
        "task_type": "generate",
        "model": "wan_tiny_i2v",
        "seed": 7,
        "parameters": {"model": "wan_tiny_i2v", "prompt": "a cat", "seed": 7, "loras": []},
        "end_frame_mode": "in_chunk",
        "inputs": {},
        "versions": {"headless": "1", "engine": "fake"},
        "request": {"model": "wan_tiny_i2v", "prompt": "a cat", "seed": 7} | (request or {}),
    }
    return told | changes


def video(path: Path, told: object) -> Path:
    """A video with `told` as its settings; a text is written as it is, and nothing for None."""
    metadata = {} if told is None else {"headless": told if isinstance(told, str) else json.dumps(told)}
    with VideoWriter(path, width=64, height=48, fps=16, metadata=metadata) as writer:
        writer.write(np.zeros((48, 64, 3), np.uint8))
    return path
