"""One clip: ask the engine, encode what it decodes, look at it; made anew once, if it fails its checks."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Mapping
from concurrent.futures import Executor, Future, wait
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Protocol

import structlog

from headless import __version__
from headless.chain_colours import ClipColours
from headless.checkpoints import Checkpoints
from headless.clip_frames import Newest, write_frames
from headless.clip_made import ClipMade, ClipParts, Target, without_engine
from headless.errors import BadInput
from headless.forecast import Forecast
from headless.hand_off import HandOff
from headless.job_listener import JobListener
from headless.media.video import VideoWriter
from headless.media.write_behind import WriteBehind
from headless.output_checks import ClipRefused, Refusal, bad_output
from headless.planning.ledger import refuse_adjustments
from headless.planning.seeds import retry_seed
from headless.ports import Engine
from headless.quality.frame_look import FrameLook, look_at
from headless.request import build_request
from headless.segment import Generation, Picture, SegmentRequest
from headless.segment_digest import MadeWith, segment_digest
from headless.task import Phase
from wan2gp_patch.frames import Source

log = structlog.get_logger(__name__)


class Learn(Protocol):
    """Takes what the report of the attempt is to say."""

    def __call__(self, **told: Any) -> None: ...


@dataclass
class ClipRun:
    """Makes the clips of one task, one after another, in the engine's thread.

    `shared`: their latents are kept where other tasks of the owner find them. `frames_kept`: how many of the
    newest frames later clips need.
    """

    engine: Engine
    listener: JobListener
    checkpoints: Checkpoints
    forecast: Forecast
    weights: Mapping[str, str]
    learn: Learn
    strict: bool
    shared: bool
    frames_kept: int
    encoding: Executor
    measuring: Executor
    _seconds_before: Mapping[str, float] = field(default_factory=dict)

    def make(
        self,
        parts: ClipParts,
        before: HandOff,
        target: Target,
        *,
        colours: Callable[[], ClipColours | None] = lambda: None,
        later: float = 0.0,
    ) -> ClipMade:
        """A clip that passed its checks, if need be at the second try.

        `before`: what the clip before it left; `later`: seconds that the engine needs for the clips after it.
        Raises `BadOutput` when the second try fails, too.
        """
        first = self.attempt(parts, before, target, colours(), later)
        if isinstance(first, ClipMade):
            return first
        if self.strict:
            raise bad_output((first,), strict=True)
        failed = ", ".join(finding.check for finding in first.findings)
        why = f"the clip with the seed before failed its output checks ({failed})"
        again = parts.with_seed(retry_seed(first.seed), why)
        self.learn(plan=again.clip.plan)
        log.warning(
            "the clip failed its output checks; making it once more with another seed",
            next_seed=again.clip.seed,
            **first.as_json(),
        )
        second = self.attempt(again, before, target, colours(), later, learned=False)
        if isinstance(second, Refusal):
            raise bad_output((first, second), strict=False)
        return replace(second, refused=first)

    def attempt(
        self,
        parts: ClipParts,
        before: HandOff,
        target: Target,
        colours: ClipColours | None,
        later: float,
        learned: bool = True,
    ) -> ClipMade | Refusal:
        """One run of the engine. What it leaves behind after a refusal needs neither memory nor disk."""
        parts = replace(parts, before=before.frames[-1] if before.frames else None)
        request = self._request(parts, before)
        digest = segment_digest(request, self._made_with(parts))
        sampled = self.checkpoints.find(target.index, digest, shared=self.shared)
        generation, sampled = self._generated(request, sampled, later)
        self._report(parts, generation)
        newest = Newest(self.frames_kept)
        newest.frames.extend(before.frames)
        target.video.parent.mkdir(exist_ok=True)  # Gone with a clip that was refused.
        handed: Future[None] | None = None

        def save_beside() -> None:
            nonlocal handed
            handed = self._handed(generation, target)
            if sampled is None and generation.save_sampled is not None:
                self.checkpoints.record(target.index, digest, generation.save_sampled, shared=self.shared)

        try:
            made = self._encoded(parts, generation, target, colours, newest, save_beside)
        except ClipRefused as refused:
            wait(() if handed is None else (handed,))
            target.latents.unlink(missing_ok=True)
            return refused.refusal
        if learned:
            self._teach(request, sampled)
        return replace(made, handed=handed, reused=sampled is not None)

    def _request(self, parts: ClipParts, before: HandOff) -> SegmentRequest:
        clip = parts.clip
        request = build_request(
            clip.plan, parts.inputs, strict=self.strict, end_tail_latents=clip.tail_latents
        )
        return before.into(clip, request)

    def _made_with(self, parts: ClipParts) -> MadeWith:
        versions = {"headless": __version__, **self.engine.versions()}
        return MadeWith(self.engine.model_def, versions, self.weights, parts.loras, parts.pictures)

    def _generated(
        self, request: SegmentRequest, sampled: Path | None, later: float
    ) -> tuple[Generation, Path | None]:
        """The generation, and the checkpoint that was used for it."""
        self._seconds_before = self.listener.timings
        request = replace(request, sampled_latents=sampled)
        self.listener.expect(self.forecast.expect(request), later)
        try:
            return self.engine.generate(request, self.listener), sampled
        except BadInput as error:
            if sampled is None:
                raise
            log.warning("the checkpoint cannot be used; starting over", error=error.message)
            return self.engine.generate(replace(request, sampled_latents=None), self.listener), None

    def _report(self, parts: ClipParts, generation: Generation) -> None:
        adjusted = (*parts.inputs.adjustments, *generation.adjustments)
        self.learn(engine=generation.details, end_frame_mode=generation.end_frame_mode, adjustments=adjusted)
        if self.strict:
            refuse_adjustments(generation.adjustments)

    def _encoded(
        self,
        parts: ClipParts,
        generation: Generation,
        target: Target,
        colours: ClipColours | None,
        newest: Newest,
        begun: Callable[[], None],
    ) -> ClipMade:
        """`begun` is called when nothing but the engine is left to wait for."""
        meter, looks = parts.checks.meter(generation), list[FrameLook]()

        def measure(frame: Picture) -> None:
            looks.append(look_at(frame))
            meter.offer_look(looks[-1])

        with contextlib.ExitStack() as stack:
            video = stack.enter_context(self._writer(parts, generation, target))
            encoder = stack.enter_context(WriteBehind(video.write, thread=self.encoding))

            def write(frame: Picture) -> None:
                encoder.write(frame)
                newest.offer(frame)

            begun()
            measured = generation.num_frames - parts.clip.tail_frames
            with WriteBehind(measure, measured, self.measuring) as measuring:
                kept = write_frames(
                    generation,
                    write,
                    self.listener,
                    measuring.write,
                    tail=parts.clip.tail_frames,
                    colours=colours,
                )
            self.listener.on_phase(Phase.CHECKING)
            parts.checks.judge(parts.clip.plan.seed, kept, generation, meter)
            return ClipMade(
                parts=parts,
                target=target,
                generation=without_engine(generation),
                kept=kept,
                meter=meter,
                looks=tuple(looks[generation.num_frames - generation.new_frames :]),
                newest=tuple(newest.frames),
                video=stack.pop_all(),
                adjustments=(*parts.inputs.adjustments, *generation.adjustments),
                colours=colours,
            )

    def _handed(self, generation: Generation, target: Target) -> Future[None] | None:
        """The latents for the next clip, on their way into a file."""
        save = generation.save_handoff
        if save is None:
            return None

        def save_and_tell() -> None:
            save(target.latents)
            target.saved(target.latents)

        return self.encoding.submit(save_and_tell)

    def look_ahead(self, parts: ClipParts, latents: Path) -> None:
        """Look for the latents of the next clip, which goes on from these, while this one is decoded."""
        clip = parts.clip
        if clip.continues is Source.LATENTS:
            request = self._request(parts, HandOff(latents))
            self.checkpoints.look_ahead(clip.index, segment_digest(request, self._made_with(parts)))

    def _writer(self, parts: ClipParts, generation: Generation, target: Target) -> VideoWriter:
        return VideoWriter(
            target.video,
            width=generation.width,
            height=generation.height,
            fps=parts.clip.plan.fps,
            metadata=target.metadata(parts, generation),
            parameter_set=target.parameter_set,
        )

    def _teach(self, request: SegmentRequest, sampled: Path | None) -> None:
        """Let the forecast learn from what this clip took."""
        now, before = self.listener.timings, self._seconds_before
        took = {phase: seconds - before.get(phase, 0.0) for phase, seconds in now.items()}
        self.forecast.learn(replace(request, sampled_latents=sampled), took)
