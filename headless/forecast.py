"""How long the engine will need for a clip, learned from the one before."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

from headless.planning.plan import Plan
from headless.segment import SegmentRequest
from headless.task import Phase


@dataclass(frozen=True)
class Expected:
    """Seconds until the last step of a clip is done, and from there to its last frame; infinite: unknown."""

    sampling: float = math.inf
    decoding: float = math.inf


class Forecast:
    """Scales what the last clip took by size and steps.

    Knows nothing before the first clip, nor of another model: a task is rather claimed late than kept waiting
    here while another worker is idle.
    """

    def __init__(self) -> None:
        self._model: str | None = None
        self._per_step = self._per_decoded = math.inf

    def learn(self, request: SegmentRequest, timings: Mapping[str, float]) -> None:
        """Note a clip's seconds per phase. One that was not sampled teaches nothing."""
        if request.sampled_latents is not None:
            return
        sampling = timings.get(Phase.ENCODING.value, 0.0) + timings.get(Phase.DENOISING.value, 0.0)
        self._model = request.model
        self._per_step = sampling / (_pixels(request) * request.steps)
        self._per_decoded = timings.get(Phase.DECODING.value, 0.0) / _pixels(request)

    def seconds(self, plan: Plan) -> float:
        """What the engine will take for the clip of a plan; infinite: unknown."""
        if plan.model != self._model:
            return math.inf
        pixels = plan.width * plan.height * plan.num_frames
        return pixels * (self._per_step * plan.steps + self._per_decoded)

    def expect(self, request: SegmentRequest) -> Expected:
        """What a clip will take from now on."""
        if request.model != self._model:
            return Expected()
        steps = request.steps if request.sampled_latents is None else 0
        pixels = _pixels(request)
        return Expected(self._per_step * pixels * steps, self._per_decoded * pixels)


def _pixels(request: SegmentRequest) -> int:
    return request.width * request.height * request.num_frames
