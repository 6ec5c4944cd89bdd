"""One pass over a claimed task: validate, fetch, plan, generate, check, upload, complete."""

from __future__ import annotations

import contextlib
import hashlib
from pathlib import Path

import structlog

from headless.checkpoints import Checkpoints, input_hash
from headless.inputs import InputFetcher
from headless.job import JobServices
from headless.job_listener import JobListener
from headless.lease import Lease
from headless.loras import locate_loras
from headless.outbox import Parcel
from headless.params import parse
from headless.plan import make_plan
from headless.previews import Previews
from headless.publish import LATENTS_FILE, VIDEO_FILE, scores, write_stills, write_video
from headless.request import build_request, refuse_adjustments, segment_inputs
from headless.result import describe, metadata
from headless.segment import Generation
from headless.task import Claim, Phase
from headless.watchdog import Watchdog
from wan2gp_patch.models_def import patched_model_def

log = structlog.get_logger(__name__)


class TaskRun:
    """One attempt at one task: `open()`, `prepare()`, `generate()`, then `close()`.

    The lease is held and renewed from `open` to `close`; files lie in a folder that goes with it. The stages
    may run in different threads, one after another.
    """

    def __init__(self, services: JobServices, claim: Claim) -> None:
        self.claim = claim
        self._services = services
        self._stack = contextlib.ExitStack()

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
            self._checkpoints = stack.enter_context(Checkpoints(s.queue, s.storage, claim, self._folder))
            self.listener = JobListener(lease, s.shutdown, previews, s.clock, watchdog)
            self._stack = stack.pop_all()

    def close(self) -> None:
        """Stop renewing and remove the folder."""
        self._stack.close()

    def prepare(self) -> None:
        """Validate the parameters, fetch the inputs, plan."""
        s, claim = self._services, self.claim
        self._params = parse(claim.task_type, claim.params)
        definition = s.planning.definition(self._params.model)
        self.listener.on_phase(Phase.FETCHING)
        fetcher = InputFetcher(s, claim.owner, self._folder, self.listener.check)
        self._inputs = fetcher.fetch(self._params.references())
        self._plan = make_plan(
            self._params,
            definition,
            seed_source=lambda: seed_of(claim.task_id),
            image_sizes=self._inputs.sizes(),
        )
        loras = locate_loras(self._plan.loras, s.loras, self.listener.check)
        self._segment = segment_inputs(self._plan, self._inputs, loras)
        if self._params.strict:
            refuse_adjustments(self._segment.adjustments)
        log.info("planned", model=self._plan.model, seed=self._plan.seed, frames=self._plan.num_frames)
        self.listener.on_waiting()

    def generate(self) -> Parcel:
        """Run the engine and write the files; the model definition is patched meanwhile."""
        s = self._services
        self.listener.on_phase(Phase.LOADING)
        s.engine.load(self._plan.model, self.listener)
        files = self._folder / "out"
        files.mkdir()
        with self._patched_definition():
            digest = input_hash(self._plan, self._inputs, self._segment, s.engine)
            sampled = self._checkpoints.find(0, digest)
            request = build_request(self._plan, self._segment, sampled)
            generation = s.engine.generate(request, self.listener)
            if self._params.strict:
                refuse_adjustments(generation.adjustments)
            if sampled is None and generation.save_sampled is not None:
                self._checkpoints.record(0, digest, generation.save_sampled)
            result = self._write(generation, files)
        return s.outbox.post(self.claim, files, result)

    def _patched_definition(self) -> contextlib.AbstractContextManager[None]:
        """`svi2pro` belongs to the model definition: a task that names it patches it for its own duration."""
        if self._params.svi2pro is None:
            return contextlib.nullcontext()
        s = self._services
        return patched_model_def(
            s.registry.models_def, self._plan.model, {"svi2pro": self._params.svi2pro}, loaded=s.engine
        )

    def _write(self, generation: Generation, files: Path) -> dict[str, object]:
        s, given = self._services, self._segment.pictures
        told = metadata(self._plan, self.claim, generation, self._inputs, s.engine.versions())
        kept = write_video(generation, files / VIDEO_FILE, self._plan.fps, told, self.listener)
        self.listener.on_phase(Phase.CHECKING)
        if generation.save_handoff is not None:
            generation.save_handoff(files / LATENTS_FILE)
        title = f"{self._plan.model}  seed {self._plan.seed}  {self._plan.width}x{self._plan.height}"
        write_stills(kept, given, title, files)
        return describe(
            self._plan,
            self._inputs,
            generation,
            (*self._plan.adjustments, *self._segment.adjustments, *generation.adjustments),
            scores(kept, generation, given),
            s.engine.versions(),
            s.worker_id,
            self.listener.timings,
        )


def seed_of(task_id: str) -> int:
    """The seed of a task that names none: the same in every attempt, so that a later one can resume."""
    return int.from_bytes(hashlib.sha256(task_id.encode()).digest()[:4], "big")
