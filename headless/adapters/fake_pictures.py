"""The fake engine's frames: numbers over the pictures that were given, and what a fault makes of them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np

from headless.adapters.fake_faults import Fault
from headless.adapters.numbered_frames import background, number_over
from headless.segment import Picture, SegmentRequest


def numbered_clip(request: SegmentRequest, first: int, continues: bool) -> Iterator[Picture]:
    """The frames of a clip whose first number is `first`.

    The start image fades out over the first half and the end image in over the second, so that the clip
    begins and ends as it was asked to. A clip that continues another has no start image of its own.
    """
    last = request.num_frames - 1
    start = None if continues else request.start_image
    for index in range(request.num_frames):
        number = (first + index) % 65536
        plain = background(number, request.width, request.height, request.seed)
        place = index / max(last, 1)
        seen = _blend(plain, start, 1 - 2 * place)
        yield number_over(_blend(seen, request.end_image, 2 * place - 1), number)


def _blend(plain: Picture, over: Picture | None, weight: float) -> Picture:
    if over is None or weight <= 0:
        return plain
    mixed: Picture = np.rint(plain * (1 - weight) + over * weight).astype(np.uint8)
    return mixed


class Spoiler:
    """Applies the picture faults that hit a clip of this seed, and counts the frames that hold a NaN."""

    def __init__(self, faults: Sequence[Fault], seed: int) -> None:
        self._faults = [fault for fault in faults if fault.of_pictures and fault.hits_seed(seed)]
        self.not_finite = 0

    def spoilt(self, frames: Iterator[Picture], total: int) -> Iterator[Picture]:
        """The frames as they come out of the faulty engine."""
        before: Picture | None = None
        for index, frame in enumerate(frames):
            shown = frame
            for fault in self._faults:
                if fault.hits_frame(index, total):
                    shown = self._spoil(fault.kind, shown, before)
            before = shown
            yield shown

    def _spoil(self, kind: str, frame: Picture, before: Picture | None) -> Picture:
        match kind:
            case "frozen":
                return frame if before is None else before
            case "grey":
                return np.full_like(frame, 127)
            case "nan":
                self.not_finite += 1
                return np.zeros_like(frame)
            case "wrong-start" | "wrong-end":
                return np.random.default_rng(0).integers(0, 256, frame.shape, dtype=np.uint8)
            case _:
                return np.zeros_like(frame)
