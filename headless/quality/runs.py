"""Runs of frames that share a flaw."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import groupby


def longest_run(flags: Iterable[bool]) -> int:
    """How many neighbours are flagged at most; 0 for none."""
    return max((sum(1 for _ in group) for flagged, group in groupby(flags) if flagged), default=0)


def longest_share(flags: Sequence[bool]) -> float:
    """The longest run as a share of all, 0 to 1; 0 where there is nothing."""
    return longest_run(flags) / len(flags) if flags else 0.0
