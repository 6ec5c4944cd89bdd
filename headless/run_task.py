"""One pass over a claimed task: validate, fetch, plan, generate, check, upload, complete."""

from __future__ import annotations

import contextlib
import hashlib
import shutil
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import structlog

from headless.attempt_report import AttemptReport, peak_memory
from headless.checkpoints import Checkpoints, input_hash
from headless.errors import BadInput
from headless.fingerprint import fingerprint
from headless.forecast import Forecast
from headless.inputs import InputFetcher
from headless.job import JobServices
from headless.job_listener import JobListener
from headless.lease import Lease
from headless.loras import locate_loras
from headless.media.video import VideoWriter
from headless.media.write_behind import WriteBehind, started_thread
from headless.outbox import Parcel
from headless.output_checks import ClipRefused, OutputChecks, Refusal, bad_output
from headless.params import parse_task
from headless.plan import make_plan
from headless.planning.ledger import refuse_adjustments
from headless.planning.seeds import retry_seed
from headless.previews import Previews
from headless.publish import LATENTS_FILE, VIDEO_FILE, KeptFrames, write_frames, write_stills
from headless.quality.clip_meter import ClipMeter
from headless.request import build_request, segment_inputs
from headless.result import describe, metadata
from headless.segment import Generation
from headless.task import Claim, Phase
from headless.watchdog import Watchdog
from headless.workspace import empty_folder
from wan2gp_patch.models_def import patched_model_def

log = structlog.get_logger(__name__)


@dataclass(frozen=True)
class Made:
    """What a generation leaves to `TaskRun.finish`. Nothing in it needs the engine or its memory.

    All frames are with the encoder of `video`, whose file is complete once it is left without an error.
    """

    generation: Generation
    kept: KeptFrames
    meter: ClipMeter
    files: Path
    versions: Mapping[str, str]
    video: contextlib.ExitStack


class TaskRun:
    """One attempt at one task: `open()`, `prepare()`, `generate()`, `finish()`, then `close()`.

    The lease is held and renewed from `open` to `close`; files lie in a folder that goes with it. The stages
    may run in different threads, one after another.
    """

    def __init__(self, services: JobServices, claim: Claim) -> None:
        self.claim = claim
        self._services = services
        self._stack = contextlib.ExitStack()
        self._refused: Refusal | None = None
        self._known = AttemptReport()
        self._timings: Callable[[], Mapping[str, float]] = dict

    def open(self) -> None:
        """Make the folder and begin to renew the lease."""
        s, claim = self._services, self.claim
        with contextlib.ExitStack() as stack:
            self._folder = stack.enter_context(s.workspace.job_folder(claim.task_id))
            watchdog = Watchdog(s.clock, s.stall_seconds)
            lease = stack.enter_context(
                Lease(s.queue, claim, s.clock, s.on_beat, watchdog, on_stalled=s.on_stalled)
            )
            previews = stack.enter_context(
                Previews(s.storage, s.clock, self._folder, claim.output_prefix, lease.show_preview)
            )
            self._encoding, self._measuring = (
                stack.enter_context(started_thread(name)) for name in ("encode", "measure")
            )
            self._checkpoints = stack.enter_context(Checkpoints(s.queue, s.storage, claim, self._folder))
            self.listener = JobListener(lease, s.shutdown, previews, s.clock, watchdog)
            self._timings = lambda: self.listener.timings
            self._stack = stack.pop_all()

    def report(self) -> dict[str, Any]:
        """What is known of this attempt by now."""
        return self._known.as_json(self._services.engine.versions(), self._timings())

    def free_the_disk(self) -> None:
        """Remove the files and keep the lease: on a full disk the queue may need their room."""
        empty_folder(self._folder)

    def close(self) -> None:
        """Stop renewing and remove the folder."""
        self._stack.close()

    def prepare(self) -> None:
        """Validate the parameters, fetch the inputs, plan."""
        self._parsed = parse_task(self.claim.task_type, self.claim.params, self.claim.continued)
        self._params = self._parsed.params
        self._learn(parsed=self._parsed)
        with self._parsed.told_as_sent():
            self._prepare()

    def _prepare(self) -> None:
        s, claim = self._services, self.claim
        definition = s.planning.definition(self._params.model)
        self.listener.on_phase(Phase.FETCHING)
        fetcher = InputFetcher(s, claim, self._folder, self.listener.check)
        self._inputs = fetcher.fetch(self._params.references())
        self._plan = make_plan(
            self._params,
            definition,
            seed_source=lambda: seed_of(claim.task_id),
            image_sizes=self._inputs.sizes(),
        )
        self._learn(plan=self._plan, inputs=self._inputs.hashes(), weights=s.weights(definition.model_def))
        loras = locate_loras(self._plan.loras, s.loras, self.listener.check)
        self._fingerprints = [fingerprint(lora.path) for lora in loras]
        named = zip(loras, self._fingerprints, strict=True)
        self._learn(loras=[{"name": lora.name, "fingerprint": known} for lora, known in named])
        self._segment = segment_inputs(self._plan, self._inputs, loras, self.listener.check)
        self._learn(adjustments=self._segment.adjustments)
        self._checks = OutputChecks(self._plan, self._segment.pictures)
        self._files = self._folder / "out"
        self._files.mkdir()
        if self._params.strict:
            refuse_adjustments(self._segment.adjustments)
        log.info("planned", model=self._plan.model, seed=self._plan.seed, frames=self._plan.num_frames)
        self.listener.on_waiting()

    def generate(self, forecast: Forecast) -> Made:
        """Run the engine and encode its frames; the model definition is patched meanwhile.

        A clip that fails its output checks is made once more with another seed, at once, while the lease is
        held and the model is loaded. Raises `BadOutput` when that fails, too.
        """
        try:
            return self._generate(forecast)
        finally:
            self._learn(peak=peak_memory(self._gpu_peak()))

    def _generate(self, forecast: Forecast) -> Made:
        s = self._services
        self.listener.on_phase(Phase.LOADING)
        if self.claim.attempt > 1:
            # An attempt that kills its worker at once, every time, would pass for a bystander for ever.
            self.listener.make_known()
        try:
            s.engine.load(self._plan.model, self.listener)
            with self._patched_definition():
                made = self._clip(forecast)
                if isinstance(made, Refusal):
                    self._reseed(made)
                    made = self._clip(forecast)
        finally:
            self._learn(memory=s.memory_told(self._plan.model))
        if isinstance(made, Refusal):
            raise bad_output(tuple(filter(None, (self._refused, made))), strict=False)
        return made

    def _clip(self, forecast: Forecast) -> Made | Refusal:
        """One run of the engine. What it leaves behind after a refusal needs neither memory nor disk."""
        s = self._services
        digest = input_hash(self._plan, self._inputs, self._segment, self._fingerprints, s.engine)
        sampled = self._checkpoints.find(0, digest)
        request = build_request(self._plan, self._segment, sampled, strict=self._params.strict)
        self.listener.expect(forecast.expect(request))
        try:
            generation = s.engine.generate(request, self.listener)
        except BadInput as error:
            if sampled is None:
                raise
            log.warning("the checkpoint cannot be used; starting over", error=error.message)
            sampled, request = None, replace(request, sampled_latents=None)
            generation = s.engine.generate(request, self.listener)
        adjusted = (*self._segment.adjustments, *generation.adjustments)
        self._learn(engine=generation.details, end_frame_mode=generation.end_frame_mode, adjustments=adjusted)
        if self._params.strict:
            refuse_adjustments(generation.adjustments)
        if sampled is None and generation.save_sampled is not None:
            self._checkpoints.record(0, digest, generation.save_sampled)
        try:
            made = self._encode(generation)
        except ClipRefused as refused:
            shutil.rmtree(self._files)
            return refused.refusal
        if self._refused is None:
            forecast.learn(request, self.listener.timings)
        return made

    def _reseed(self, refusal: Refusal) -> None:
        """Plan the second try, under another seed, and report it."""
        if self._params.strict:
            raise bad_output((refusal,), strict=True)
        self._refused = refusal
        failed = ", ".join(finding.check for finding in refusal.findings)
        why = f"the clip with the seed before failed its output checks ({failed})"
        self._plan = self._plan.with_seed(retry_seed(self._plan.seed), why)
        self._learn(plan=self._plan)
        log.warning(
            "the clip failed its output checks; making it once more with another seed",
            next_seed=self._plan.seed,
            **refusal.as_json(),
        )

    def finish(self, made: Made) -> Parcel:
        """Complete the files and put them into the outbox. The engine is not needed any more."""
        given, plan = self._segment.pictures, self._plan
        with made.video:
            self.listener.check()
        write_stills(
            made.kept, given, f"{plan.model}  seed {plan.seed}  {plan.width}x{plan.height}", made.files
        )
        generation, checks = made.generation, self._checks
        quality = {
            "scores": checks.scores(made.kept, generation, made.meter),
            "checks": checks.told(generation, made.meter, self._refused),
            "warnings": list(checks.warnings(generation, made.meter)),
        }
        for warning in quality["warnings"]:
            log.warning("a flaw that is no reason to refuse the clip", flaw=warning)
        result = describe(
            plan,
            self._inputs,
            generation,
            (*self._parsed.adjustments, *plan.adjustments, *self._known.adjustments),
            quality,
            made.versions,
            self._services.worker_id,
            self.listener.timings,
        )
        return self._services.outbox.post(
            self.claim, made.files, result | self._parsed.as_json(), self.report()
        )

    def _gpu_peak(self) -> int | None:
        try:
            return self._services.gpu_peak()
        except RuntimeError as error:  # A sick device may refuse even that, and must not hide why.
            log.warning("the device does not say how much memory was taken", why=str(error))
            return None

    def _learn(self, **told: Any) -> None:
        """Add to the report."""
        self._known = replace(self._known, **told)

    def _patched_definition(self) -> contextlib.AbstractContextManager[None]:
        """`svi2pro` belongs to the model definition: a task that names it patches it for its own duration."""
        if self._params.svi2pro is None:
            return contextlib.nullcontext()
        s = self._services
        return patched_model_def(
            s.registry.models_def, self._plan.model, {"svi2pro": self._params.svi2pro}, loaded=s.engine
        )

    def _encode(self, generation: Generation) -> Made:
        versions = self._services.engine.versions()
        told = metadata(self._plan, self.claim, generation, self._inputs, versions)
        files = self._files
        files.mkdir(exist_ok=True)  # Gone with a clip that was refused.
        meter = self._checks.meter(generation)
        size = {"width": generation.width, "height": generation.height}
        with contextlib.ExitStack() as stack:
            video = stack.enter_context(
                VideoWriter(files / VIDEO_FILE, fps=self._plan.fps, metadata=told, **size)
            )
            encoder = stack.enter_context(WriteBehind(video.write, thread=self._encoding))
            if generation.save_handoff is not None:
                encoder.call(partial(generation.save_handoff, files / LATENTS_FILE))
            with WriteBehind(meter.offer, generation.num_frames, self._measuring) as measuring:
                kept = write_frames(generation, encoder.write, self.listener, measuring.write)
            self.listener.on_phase(Phase.CHECKING)
            self._checks.judge(self._plan.seed, kept, generation, meter)
            return Made(_without_engine(generation), kept, meter, files, versions, stack.pop_all())


def _without_engine(generation: Generation) -> Generation:
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


def seed_of(task_id: str) -> int:
    """The seed of a task that names none: the same in every attempt, so that a later one can resume."""
    return int.from_bytes(hashlib.sha256(task_id.encode()).digest()[:4], "big")
