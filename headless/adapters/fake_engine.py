"""An engine without a model: deterministic numbered frames, a set pace, faults on request.

A first clip counts its frames from 0. A continuation repeats the numbers that it continues and counts on, so
a seam can be checked by reading the numbers. How many it repeats is what the real engine would repeat for the
same request.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from copy import deepcopy
from dataclasses import fields
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from headless.adapters.fake_faults import Fault, read_faults
from headless.adapters.fake_pictures import Spoiler, numbered_clip
from headless.adapters.numbered_frames import draw_number, read_number
from headless.errors import BadParams
from headless.ports import Clock, ModelRegistry
from headless.segment import EngineListener, Generation, Picture, SegmentRequest
from headless.task import Phase
from wan2gp_patch.frames import (
    FRAMES_PER_LATENT,
    Continuation,
    EndFrameMode,
    continuation_of_video,
    prefix_frames,
)


class FakeEngine:
    """Implements `Engine`. `step_seconds` is the pace of one denoising step."""

    def __init__(self, registry: ModelRegistry, clock: Clock, step_seconds: float = 0.0) -> None:
        self._registry = registry
        self._clock = clock
        self._step_seconds = step_seconds
        self._model: str | None = None
        self._model_def: dict[str, Any] = {}

    @property
    def loaded_model(self) -> str | None:
        """The id last loaded."""
        return self._model

    @property
    def model_def(self) -> dict[str, Any]:
        """The loaded model's own definition."""
        return self._model_def

    def versions(self) -> dict[str, str]:
        """Names itself, so that nobody takes its frames for a generation."""
        return {"engine": "fake"}

    def load(self, model: str, listener: EngineListener) -> None:
        """Take over the definition of `model`; there is nothing else to load."""
        listener.on_phase(Phase.LOADING)
        self._model_def = deepcopy(dict(self._registry.definition(model).model_def))
        self._model = model

    def generate(self, request: SegmentRequest, listener: EngineListener) -> Generation:
        """Step through the phases at the set pace, then draw the frames."""
        faults = self._faults(request)
        listener.on_phase(Phase.ENCODING)
        _strike(faults, "encoding")
        listener.on_phase(Phase.DENOISING)
        for step in range(1, request.steps + 1) if request.sampled_latents is None else ():
            self._clock.sleep(self._step_seconds)
            _strike(faults, "step", step)
            listener.on_step(step, request.steps, partial(draw_number, step, 64, 64))
        svi = bool(self._model_def.get("svi2pro", False))
        head = _continuation(request, svi).head_drop
        first = _first_number(request, head)
        last = first + request.num_frames - 1
        made_of = _made_of(request)  # Now: what it was made from may be gone when it is saved.
        spoiler = Spoiler(faults, request.seed)
        return Generation(
            width=request.width,
            height=request.height,
            num_frames=request.num_frames,
            new_frames=request.num_frames - head,
            frames=_frames(request, first, head > 0, faults, spoiler, listener),
            end_frame_mode=_mode(request, svi).value,
            details=self._details(request),
            not_finite=lambda: spoiler.not_finite,
            save_handoff=partial(_save, made_of, last - FRAMES_PER_LATENT * request.end_tail_latents),
            save_sampled=partial(_save, made_of, last),
        )

    def _details(self, request: SegmentRequest) -> dict[str, Any]:
        resumed = {} if request.sampled_latents is None else {"resumed": True}
        return {"engine": "fake", "svi2pro": bool(self._model_def.get("svi2pro", False))} | resumed

    def _faults(self, request: SegmentRequest) -> tuple[Fault, ...]:
        try:
            return read_faults(request.prompt)
        except ValueError as error:
            raise BadParams(f"prompt: {error}") from error


def _strike(faults: tuple[Fault, ...], where: str, step: int = 1) -> None:
    for fault in faults:
        if fault.where == where and (where != "step" or fault.step == step):
            fault.strike()


def _continuation(request: SegmentRequest, svi: bool) -> Continuation:
    """What the clip continues. SVI continues latents, also of a video, unless an end image is encoded."""
    if request.previous_latents is not None:
        return Continuation.latents(request.motion_latent_count)
    if request.start_is_last_frame:
        return Continuation.last_frame()
    if request.prefix is None:
        return Continuation.nothing()
    frames, mode = len(request.prefix), _mode(request, svi)
    if svi and mode in (EndFrameMode.NONE, EndFrameMode.SLOT):
        return continuation_of_video(frames, request.overlap)
    if frames >= prefix_frames(request.overlap):
        return Continuation.pixels(request.overlap)
    return Continuation.latents(0) if svi else Continuation.last_frame()


def _mode(request: SegmentRequest, svi: bool) -> EndFrameMode:
    if request.end_image is None:
        return EndFrameMode.NONE
    started = svi or request.start_image is not None or request.prefix is not None
    return EndFrameMode(request.end_frame_mode) if started else EndFrameMode.IN_CHUNK


def _first_number(request: SegmentRequest, head: int) -> int:
    """The number of the clip's first frame: a continuation repeats `head` old numbers."""
    if request.previous_latents is not None:
        last = int(json.loads(request.previous_latents.read_text(encoding="utf-8"))["last_number"])
    elif request.prefix is not None:
        last = read_number(request.prefix[-1])
    elif request.start_is_last_frame and request.start_image is not None:
        last = read_number(request.start_image)
    else:
        return 0
    return last + 1 - head


def _frames(
    request: SegmentRequest,
    first: int,
    continues: bool,
    faults: tuple[Fault, ...],
    spoiler: Spoiler,
    listener: EngineListener,
) -> Iterator[Picture]:
    listener.on_phase(Phase.DECODING)
    _strike(faults, "decoding")
    yield from spoiler.spoilt(numbered_clip(request, first, continues), request.num_frames)


def _made_of(request: SegmentRequest) -> str:
    """Stands for the content of latents: as theirs, it depends on all that the clip was made from."""
    digest = hashlib.sha256()
    for part in fields(request):
        if part.name not in ("sampled_latents", "strict", "loras"):
            digest.update(part.name.encode() + _bytes_of(getattr(request, part.name)))
    return digest.hexdigest()


def _save(made_of: str, last_number: int, path: Path) -> None:
    path.write_text(json.dumps({"last_number": last_number, "made_of": made_of}), encoding="utf-8")


def _bytes_of(value: object) -> bytes:
    if isinstance(value, np.ndarray):
        return value.tobytes()
    return value.read_bytes() if isinstance(value, Path) else repr(value).encode()
