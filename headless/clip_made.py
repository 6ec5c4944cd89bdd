"""A clip before and after the engine: what it is made from, where it goes, and what it leaves."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Mapping
from concurrent.futures import Future
from dataclasses import dataclass, replace
from pathlib import Path

from headless.chain_colours import ClipColours
from headless.hand_off import HandOff
from headless.output_checks import OutputChecks, Refusal
from headless.planning.chain import ChainClip
from headless.publish import KeptFrames
from headless.quality.clip_meter import ClipMeter
from headless.quality.frame_look import FrameLook
from headless.quality.thresholds import Thresholds
from headless.request import SegmentInputs
from headless.segment import Generation, Picture
from wan2gp_patch.adjustment import Adjustment


@dataclass(frozen=True)
class ClipParts:
    """A clip and what it is made from, but for what the clip before hands on.

    `loras`: fingerprints of its files, by path; `pictures`: hashes of its arrays, by `id`; `limits`: of
    its checks.
    """

    clip: ChainClip
    inputs: SegmentInputs
    loras: Mapping[Path, str]
    pictures: Mapping[int, str]
    limits: Thresholds
    reseeded: tuple[Adjustment, ...] = ()
    """Why its seed is not the one that was planned."""
    before: Picture | None = None
    """The last frame shown before it."""

    @property
    def checks(self) -> OutputChecks:
        """Those that apply to it."""
        return OutputChecks(self.clip.plan, self.inputs.pictures, self.limits, self.before)

    def with_seed(self, seed: int, why: str) -> ClipParts:
        """The same from another seed, which is reported."""
        plan = self.clip.plan.with_seed(seed, why)
        return replace(self, clip=replace(self.clip, plan=plan), reseeded=plan.adjustments[-1:])

    def of_seed(self, seed: int) -> ClipParts:
        """The same as if that seed had been asked for."""
        plan = self.clip.plan.with_seed(seed, "asked for")
        return replace(self, clip=replace(self.clip, plan=replace(plan, adjustments=())))


@dataclass(frozen=True)
class Target:
    """Where the files of a clip go, and what is written into its video."""

    video: Path
    latents: Path
    metadata: Callable[[ClipParts, Generation], Mapping[str, str]] = lambda *_: {}
    parameter_set: int = 0
    index: int | None = 0
    """Under which the queue keeps its checkpoint, if it does."""
    saved: Callable[[Path], None] = lambda _: None
    """Told beside the engine when the latents are there."""


@dataclass(frozen=True)
class ClipMade:
    """A clip that passed. Nothing in it needs the engine or its memory.

    All frames are with the encoder of `video`, whose file is complete once it is left without an error.
    """

    parts: ClipParts
    target: Target
    generation: Generation
    kept: KeptFrames
    meter: ClipMeter
    looks: tuple[FrameLook, ...]
    """Of the frames that are shown."""
    newest: tuple[Picture, ...]
    video: contextlib.ExitStack
    adjustments: tuple[Adjustment, ...]
    colours: ClipColours | None
    refused: Refusal | None = None
    handed: Future[None] | None = None
    """Writes its latents for the next clip."""
    reused: bool = False

    @property
    def hand_off(self) -> HandOff:
        """What the next clip is given; waits for it to be written."""
        if self.handed is None:
            return HandOff(None, self.newest)
        self.handed.result()
        return HandOff(self.target.latents, self.newest)


def without_engine(generation: Generation) -> Generation:
    """The same, without what keeps the engine's memory alive."""
    dropped, not_finite = generation.end_frame(), generation.not_finite()
    return replace(
        generation,
        frames=iter(()),
        save_handoff=None,
        save_sampled=None,
        end_frame=lambda: dropped,
        not_finite=lambda: not_finite,
    )
