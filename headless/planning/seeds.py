"""A seed of its own for every segment: equal noise in every segment of a chain accumulates artefacts."""

from __future__ import annotations

import hashlib


def retry_seed(seed: int) -> int:
    """The seed with which a clip is made again after its output checks refused it, 0..2^32-1.

    The first 4 bytes, big-endian, of SHA-256 of the text `retry:<seed>`: equal tasks have equal retries.
    """
    return int.from_bytes(hashlib.sha256(f"retry:{seed}".encode()).digest()[:4], "big")


def segment_seed(seed: int, index: int) -> int:
    """The seed of segment `index`, 0..2^32-1. The first segment has the task's own.

    The others are the first 4 bytes, big-endian, of SHA-256 of the text `segment:<seed>:<index>`.
    """
    if index == 0:
        return seed
    return int.from_bytes(hashlib.sha256(f"segment:{seed}:{index}".encode()).digest()[:4], "big")
