"""One pass over a claimed task: validate, fetch, plan, generate, check, upload, complete."""

from __future__ import annotations

import contextlib
import hashlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any

import structlog

from headless.attempt_report import AttemptReport, peak_memory
from headless.beginning import beginning_of
from headless.chain_run import ChainRun
from headless.checkpoints import Checkpoints
from headless.clip_made import ClipParts
from headless.clip_parts import PartsGatherer
from headless.clip_run import ClipRun
from headless.errors import Cancelled, LeaseLost, TaskError
from headless.forecast import Forecast
from headless.growing_movie import MovieLine, ShownMovie
from headless.hand_off import frames_needed
from headless.inputs import InputFetcher
from headless.job import JobServices
from headless.job_listener import JobListener
from headless.lease import Lease
from headless.media.movie import Movie
from headless.media.write_behind import started_thread
from headless.outbox import Parcel
from headless.params import parse_task
from headless.planning.chain_plan import make_chain
from headless.planning.ledger import refuse_adjustments
from headless.previews import Previews
from headless.result import Facts, chain_metadata, describe, metadata
from headless.segment import Generation
from headless.single_run import SingleRun
from headless.task import Claim, Phase
from headless.watchdog import Watchdog
from headless.workspace import empty_folder
from wan2gp_patch.models_def import patched_model_def

log = structlog.get_logger(__name__)

SETTLING = 60.0
"""Seconds for which checkpoints are waited for when a task is given back."""


@dataclass(frozen=True)
class Made:
    """What a generation leaves to `TaskRun.finish`. Nothing in it needs the engine or its memory."""

    clips: SingleRun | ChainRun


class TaskRun:
    """One attempt at one task: `open()`, `prepare()`, `generate()`, `finish()`, then `close()`.

    The lease is held and renewed from `open` to `close`; files lie in a folder that goes with it. The stages
    may run in different threads, one after another.
    """

    def __init__(self, services: JobServices, claim: Claim) -> None:
        self.claim = claim
        self._services = services
        self._stack = contextlib.ExitStack()
        self._known = AttemptReport()
        self._timings: Callable[[], Mapping[str, float]] = dict

    def open(self) -> None:
        """Make the folder and begin to renew the lease."""
        s, claim = self._services, self.claim
        with contextlib.ExitStack() as stack:
            self._folder = stack.enter_context(s.workspace.job_folder(claim.task_id))
            watchdog = Watchdog(s.clock, s.stall_seconds)
            self._lease = stack.enter_context(
                Lease(s.queue, claim, s.clock, s.on_beat, watchdog, on_stalled=s.on_stalled)
            )
            self._previews = stack.enter_context(
                Previews(s.storage, s.clock, self._folder, claim.output_prefix, self._lease.show_preview)
            )
            self._encoding, self._measuring = (
                stack.enter_context(started_thread(name)) for name in ("encode", "measure")
            )
            self._checkpoints = stack.enter_context(Checkpoints(s.queue, s.storage, claim, self._folder))
            self.listener = JobListener(self._lease, s.shutdown, self._previews, s.clock, watchdog)
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
        """Validate the parameters, fetch the inputs, plan, bring together what every clip is made from."""
        self._parsed = parse_task(self.claim.task_type, self.claim.params, self.claim.continued)
        self._learn(parsed=self._parsed)
        with self._parsed.told_as_sent():
            self._prepare()

    def _prepare(self) -> None:
        s, claim, params = self._services, self.claim, self._parsed.params
        definition = s.planning.definition(params.model)
        self.listener.on_phase(Phase.FETCHING)
        self._inputs = InputFetcher(s, claim, self._folder, self.listener.check).fetch(params.references())
        self._chain = make_chain(
            params,
            definition,
            seed_source=lambda: seed_of(claim.task_id),
            image_sizes=self._inputs.sizes(),
        )
        plan, several = self._chain.first, self._chain if len(self._chain.clips) > 1 else None
        self._learn(plan=plan, chain=several, inputs=self._inputs.hashes())
        self._learn(weights=s.weights(definition.model_def))
        self._parts = PartsGatherer(self._inputs, s.loras, self.listener.check).of(self._chain)
        self._learn(loras=_loras(self._parts))
        fitted = tuple(entry for parts in self._parts for entry in parts.inputs.adjustments)
        self._learn(adjustments=fitted)
        self._files = self._folder / "out"
        self._files.mkdir()
        self._beginning = beginning_of(
            self._chain, self._inputs, self._folder, self.listener.check, strict=params.strict
        )
        if params.strict:
            refuse_adjustments(fitted)
        segments = {"segments": len(several.clips)} if several else {}
        log.info("planned", model=plan.model, seed=self._chain.seed, frames=plan.num_frames, **segments)
        self.listener.on_waiting()

    def generate(self, forecast: Forecast) -> Made:
        """Run the engine and encode its frames; the model definition is patched meanwhile.

        A clip that fails its output checks is made once more with another seed, at once, while the lease is
        held and the model is loaded. Raises `BadOutput` when that fails, too.
        """
        try:
            return self._generate(forecast)
        except (Cancelled, LeaseLost, TaskError):
            raise
        except Exception:
            # The next attempt is to find what is finished, so before the queue hears of this one's end.
            self._checkpoints.settle(min(SETTLING, self._services.shutdown.seconds_left))
            raise
        finally:
            self._learn(peak=peak_memory(self._gpu_peak()))

    def finish(self, made: Made) -> Parcel:
        """Complete the files and put them into the outbox. The engine is not needed any more."""
        clips = made.clips
        facts, last = self._facts(), clips.last
        if isinstance(clips, SingleRun):
            segments = clips.finish()
        else:
            self.listener.check()
            told = chain_metadata(facts, last.parts.clip.plan, last.generation.end_frame_mode)
            segments = clips.finish(told, self._title())
        _log_warnings(segments)
        planned = (*self._parsed.adjustments, *self._chain.adjustments, *self._beginning.adjustments)
        adjusted, extended = (*planned, *clips.adjustments), self._beginning.frames
        result = describe(facts, last, segments, self.listener.timings, adjusted, extended)
        return self._services.outbox.post(self.claim, self._files, result, self.report())

    def _generate(self, forecast: Forecast) -> Made:
        s, model = self._services, self._chain.first.model
        self.listener.on_phase(Phase.LOADING)
        if self.claim.attempt > 1:
            # An attempt that kills its worker at once, every time, would pass for a bystander for ever.
            self.listener.make_known()
        try:
            s.engine.load(model, self.listener)
            clips = self._run(forecast)
            clips.generate()
        finally:
            self._learn(memory=s.memory_told(model))
        return Made(clips)

    def _run(self, forecast: Forecast) -> SingleRun | ChainRun:
        """The clip of this task, or its clips."""
        chain = self._chain
        alone = len(chain.clips) == 1 and not chain.extends and not chain.clips[0].alternatives
        clips = self._clip_run(forecast, shared=not alone)
        if alone:
            return SingleRun(chain, self._parts[0], clips, self._files, self._metadata, self._patched)
        movie = Movie(self._folder / "movie.mp4")
        shown = ShownMovie(
            movie, self._services.storage, self._folder, self.claim.output_prefix, self._show_movie
        )
        return ChainRun(
            chain=chain,
            parts=self._parts,
            clips=clips,
            line=self._stack.enter_context(MovieLine(shown)),
            movie=movie,
            folder=self._folder,
            files=self._files,
            prefix=self.claim.output_prefix,
            patched=self._patched,
            beginning=self._beginning,
        )

    def _clip_run(self, forecast: Forecast, *, shared: bool) -> ClipRun:
        chain = self._chain
        return ClipRun(
            engine=self._services.engine,
            listener=self.listener,
            checkpoints=self._checkpoints,
            forecast=forecast,
            weights=self._known.weights,
            learn=self._learn if not shared else self._learn_of_chain,
            strict=self._parsed.params.strict,
            shared=shared,
            frames_kept=max((frames_needed(clip) for clip in chain.clips[1:]), default=0),
            encoding=self._encoding,
            measuring=self._measuring,
        )

    def _show_movie(self, key: str) -> None:
        """A movie says more than the picture of a step."""
        self._previews.retire()
        self._lease.show_preview(key)

    def _metadata(self, parts: ClipParts, generation: Generation) -> Mapping[str, str]:
        return metadata(self._facts(), parts.clip.plan, generation.end_frame_mode)

    def _facts(self) -> Facts:
        s = self._services
        return Facts(self.claim, self._parsed, self._chain, self._inputs, s.engine.versions(), s.worker_id)

    def _title(self) -> str:
        chain, plan = self._chain, self._chain.first
        return f"{plan.model}  seed {chain.seed}  {plan.width}x{plan.height}  {len(chain.clips)} segments"

    def _gpu_peak(self) -> int | None:
        try:
            return self._services.gpu_peak()
        except RuntimeError as error:  # A sick device may refuse even that, and must not hide why.
            log.warning("the device does not say how much memory was taken", why=str(error))
            return None

    def _learn(self, **told: Any) -> None:
        """Add to the report."""
        self._known = replace(self._known, **told)

    def _learn_of_chain(self, **told: Any) -> None:
        """The report keeps the plan of the first clip, and what was adjusted for all."""
        told.pop("plan", None)
        self._learn(**told)

    def _patched(self, parts: ClipParts) -> contextlib.AbstractContextManager[None]:
        """`svi2pro` belongs to the model definition: a clip that names it patches it for its own duration."""
        s, plan = self._services, parts.clip.plan
        own = bool(s.planning.definition(plan.model).model_def.get("svi2pro", False))
        if self._parsed.params.svi2pro is None and plan.svi2pro == own:
            return contextlib.nullcontext()
        return patched_model_def(
            s.registry.models_def, plan.model, {"svi2pro": plan.svi2pro}, loaded=s.engine
        )


def _log_warnings(segments: list[dict[str, Any]]) -> None:
    for segment in segments:
        place = {"segment": segment["index"]} if len(segments) > 1 else {}
        for warning in segment["warnings"]:
            log.warning("a flaw that is no reason to refuse the clip", flaw=warning, **place)


def _loras(parts: tuple[ClipParts, ...]) -> list[dict[str, str]]:
    """Every LoRA of a task once."""
    told = {
        lora.path: {"name": lora.name, "fingerprint": one.loras[lora.path]}
        for one in parts
        for lora in one.inputs.loras
    }
    return list(told.values())


def seed_of(task_id: str) -> int:
    """The seed of a task that names none: the same in every attempt, so that a later one can resume."""
    return int.from_bytes(hashlib.sha256(task_id.encode()).digest()[:4], "big")
