"""Latents to frames, as they are read; where memory runs out, the rest is decoded under the next plan."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import islice
from typing import Any, Final

import structlog
import torch
from torch import Tensor

from headless.engine.failures import RanOut
from headless.engine.ladder import Ladder
from headless.engine.preview import to_uint8
from headless.engine.stages import Stages
from headless.segment import Clip, EngineListener, Picture
from headless.task import Phase

TILES_WARNING: Final = (
    "there was memory only to decode the frames in tiles, whose borders may show; a smaller clip or more "
    "memory avoids that"
)

log = structlog.get_logger(__name__)


class ClipDecoder:
    """Decodes one clip's latents [16, T, h, w]. `extra`: the last latent is a frame of its own."""

    def __init__(
        self,
        ladder: Ladder,
        stages: Stages,
        listener: EngineListener,
        details: dict[str, Any],
        *,
        latents: Tensor,
        extra: bool,
        num_frames: int,
    ) -> None:
        self._ladder, self._stages, self._listener, self._details = ladder, stages, listener, details
        self._latents, self._extra, self._num_frames = latents, extra, num_frames
        self._end_frame: Picture | None = None
        self._not_finite: set[int] = set()

    def end_frame(self) -> Picture | None:
        """The frame beyond the clip, once everything has been read."""
        return self._end_frame

    def not_finite(self) -> int:
        """How many frames held a NaN or an infinity, the one beyond the clip too."""
        return len(self._not_finite)

    def frames(self) -> Iterator[Picture]:
        """The clip's frames as they are decoded; the one beyond the clip is kept aside."""
        for number, frame in enumerate(self._decoded()):
            if number < self._num_frames:
                yield frame
            else:
                self._end_frame = frame

    def _decoded(self) -> Iterator[Picture]:
        """Every frame; what was shown before a step down is decoded again, but not shown again."""
        shown = 0
        while True:
            doing = None
            try:
                for frame in islice(self._under_one_plan(), shown, None):
                    shown += 1
                    yield frame
            except RanOut as failure:
                doing = failure.doing
            if doing is None:
                return
            self._step_down(doing)

    def _step_down(self, doing: str) -> None:
        self._listener.on_phase(Phase.DECODING)
        self._ladder.step_down(doing)
        describe_plan(self._ladder, self._details)

    def _under_one_plan(self) -> Iterator[Picture]:
        number = 0
        for chunk, finite in self._chunks():
            for frame, sound in zip(chunk, finite, strict=True):
                if not sound:
                    self._not_finite.add(number)
                number += 1
                yield frame

    @torch.inference_mode()
    def _chunks(self) -> Iterator[tuple[Clip, list[bool]]]:
        """Frames, and whether each was finite: 8 bits hold no NaN, so it must be asked before."""
        chunks = self._ladder.loaded.vae.decode_chunks(self._latents, end_frame=self._extra)
        while True:
            self._listener.on_phase(Phase.DECODING)
            with self._stages.measured("decoding"):
                chunk = next(chunks, None)
                if chunk is None:
                    return
                finite = torch.isfinite(chunk).all(dim=0).flatten(1).all(dim=1)
                frames: Clip = to_uint8(chunk).permute(1, 2, 3, 0).contiguous().cpu().numpy()
                sound: list[bool] = finite.tolist()
            yield frames, sound


def describe_plan(ladder: Ladder, details: dict[str, Any]) -> None:
    """Put the memory plan and how it came to it into the result."""
    details |= ladder.described()
    if ladder.loaded.plan.tiles and TILES_WARNING not in details.setdefault("warnings", []):
        log.warning(TILES_WARNING)
        details["warnings"].append(TILES_WARNING)
