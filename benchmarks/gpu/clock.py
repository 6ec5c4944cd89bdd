"""Seconds of work on a device, two sides in turns, and the kernels that they ran."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch.profiler import ProfilerActivity, profile

Work = Callable[[], object]


@dataclass(frozen=True)
class Pairs:
    """Seconds of both sides, pair by pair."""

    ours: tuple[float, ...]
    theirs: tuple[float, ...]

    @property
    def ours_s(self) -> float:
        """Median of our side."""
        return statistics.median(self.ours)

    @property
    def theirs_s(self) -> float:
        """Median of the other side."""
        return statistics.median(self.theirs)

    @property
    def ratio(self) -> float:
        """Median of theirs over ours within each pair."""
        return statistics.median(b / a for a, b in zip(self.ours, self.theirs, strict=True))


def wait_for(device: torch.device) -> None:
    """Until the device has done what it was told."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)


def seconds(work: Work, device: torch.device) -> float:
    """Of one call, the device's work included."""
    wait_for(device)
    began = time.perf_counter()
    work()
    wait_for(device)
    return time.perf_counter() - began


def interleaved(ours: Work, theirs: Work, pairs: int, device: torch.device) -> Pairs:
    """Both sides in turns after one call each that is not timed; every other pair begins with theirs."""
    works = (ours, theirs)
    for work in works:
        work()
    times: list[tuple[float, float]] = []
    for pair in range(pairs):
        order = (0, 1) if pair % 2 == 0 else (1, 0)
        spent = {side: seconds(works[side], device) for side in order}
        times.append((spent[0], spent[1]))
    return Pairs(tuple(a for a, _ in times), tuple(b for _, b in times))


def best(work: Work, device: torch.device, times: int = 10) -> float:
    """The least seconds of a call, after three that are not timed: a ceiling is what can be reached."""
    for _ in range(3):
        work()
    return min(seconds(work, device) for _ in range(times))


def kernels(work: Work, device: torch.device, most: int = 8) -> list[dict[str, object]]:
    """The kernels that took most of one call: name, calls, share of the time."""
    activities = [ProfilerActivity.CPU, *([ProfilerActivity.CUDA] if device.type == "cuda" else [])]
    with profile(activities=activities) as recorded:
        work()
        wait_for(device)
    spent = "self_device_time_total" if device.type == "cuda" else "self_cpu_time_total"
    rows = sorted(recorded.key_averages(), key=lambda row: float(getattr(row, spent)), reverse=True)
    total = sum(float(getattr(row, spent)) for row in rows) or 1.0
    return [
        {"name": row.key, "calls": row.count, "share": round(float(getattr(row, spent)) / total, 4)}
        for row in rows[:most]
    ]


def rounded(values: Sequence[float], digits: int = 4) -> list[float]:
    """For printing."""
    return [round(value, digits) for value in values]
