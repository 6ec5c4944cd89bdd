"""One pass over a claimed task: validate, fetch, plan, generate, check, upload, complete."""

from __future__ import annotations

import contextlib
import secrets
import tempfile
from pathlib import Path
from types import TracebackType

import structlog
from structlog.contextvars import bound_contextvars

from headless.errors import LeaseLost
from headless.inputs import InputFetcher
from headless.job import JobServices
from headless.job_listener import JobListener, SilentListener
from headless.lease import Lease
from headless.loras import locate_loras
from headless.params import parse
from headless.persistence import persistently
from headless.plan import make_plan
from headless.previews import Previews
from headless.publish import LATENTS_FILE, VIDEO_FILE, Publisher, scores, write_stills, write_video
from headless.request import build_request, refuse_adjustments, segment_inputs
from headless.result import describe, metadata
from headless.segment import Generation
from headless.settle import Outcome, Settled, settle, translate
from headless.task import Claim, CompleteAnswer, Phase
from wan2gp_patch.models_def import patched_model_def

COMPLETION_LIMIT = 600.0
"""Seconds for which a finished result tries to reach a queue that does not answer."""
SETTLE_LIMIT = 60.0

log = structlog.get_logger(__name__)


class TaskRunner:
    """Runs claimed tasks, one after another, with the same services."""

    def __init__(self, services: JobServices) -> None:
        self._services = services

    def __call__(self, claim: Claim) -> Settled:
        """Run one task and tell the queue how it ended. Raises only what must end the process."""
        with bound_contextvars(task=claim.task_id, attempt=claim.attempt):
            log.info("task claimed", task_type=claim.task_type)
            try:
                with TaskRun(self._services, claim) as run:
                    run.prepare()
                    run.generate()
                    run.publish()
            except Exception as error:
                return self._settle(claim, error)
            log.info("task complete")
            return Settled(Outcome.DONE)

    def preload(self, model: str) -> None:
        """Load a model before the first task. Raises what a load raises, and `BadParams` for an unknown id."""
        try:
            self._services.engine.load(model, SilentListener())
        except Exception as error:
            known = translate(error)
            raise known from error

    def _settle(self, claim: Claim, error: Exception) -> Settled:
        known = translate(error)
        if known is not error:
            log.error("the run ended with an error", exc_info=error)
        s = self._services
        return persistently(
            "the end of the task", lambda: settle(s.queue, claim, known), s.clock, SETTLE_LIMIT
        )


class TaskRun:
    """One attempt at one task: `prepare()`, `generate()`, `publish()`, in this order, inside `with`.

    The lease is held and renewed for the whole block; files lie in a folder that goes with the block.
    """

    def __init__(self, services: JobServices, claim: Claim) -> None:
        self._services = services
        self._claim = claim
        self._open = contextlib.ExitStack()

    def __enter__(self) -> TaskRun:
        s, claim = self._services, self._claim
        with contextlib.ExitStack() as stack:
            self._folder = Path(
                stack.enter_context(tempfile.TemporaryDirectory(prefix="headless-", dir=s.work_dir))
            )
            lease = stack.enter_context(Lease(s.queue, claim, s.clock, s.on_beat))
            previews = stack.enter_context(
                Previews(s.storage, s.clock, self._folder, claim.output_prefix, lease.show_preview)
            )
            self._listener = JobListener(lease, s.shutdown, previews, s.clock)
            self._open = stack.pop_all()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._open.close()

    def prepare(self) -> None:
        """Validate the parameters, fetch the inputs, plan."""
        s, claim = self._services, self._claim
        self._params = parse(claim.task_type, claim.params)
        definition = s.registry.definition(self._params.model)
        self._listener.on_phase(Phase.FETCHING)
        fetcher = InputFetcher(s, claim.owner, self._folder, self._listener.check)
        self._inputs = fetcher.fetch(self._params.references())
        self._plan = make_plan(
            self._params, definition, seed_source=_fresh_seed, image_sizes=self._inputs.sizes()
        )
        loras = locate_loras(self._plan.loras, s.loras, self._listener.check)
        self._segment = segment_inputs(self._plan, self._inputs, loras)
        if self._params.strict:
            refuse_adjustments(self._segment.adjustments)
        log.info("planned", model=self._plan.model, seed=self._plan.seed, frames=self._plan.num_frames)

    def generate(self) -> None:
        """Run the engine and write the files; the model definition is patched meanwhile."""
        s = self._services
        self._listener.on_phase(Phase.LOADING)
        s.engine.load(self._plan.model, self._listener)
        with self._patched_definition():
            generation = s.engine.generate(build_request(self._plan, self._segment), self._listener)
            if self._params.strict:
                refuse_adjustments(generation.adjustments)
            self._write(generation)

    def publish(self) -> None:
        """Upload the files and complete the task. Raises `LeaseLost` if somebody else has it by now."""
        s, claim = self._services, self._claim
        publisher = Publisher(s.storage, claim.output_prefix, self._folder, self._listener)
        self._result["files"] = publisher.upload()
        self._result["timings"] = self._listener.timings
        publisher.upload_result(self._result)
        self._listener.check()
        answer = persistently(
            "the completion",
            lambda: s.queue.complete(
                claim.task_id, claim.attempt, publisher.video.key, publisher.video.sha256, self._result
            ),
            s.clock,
            COMPLETION_LIMIT,
        )
        if answer is CompleteAnswer.LOST:
            raise LeaseLost("Another worker owns the task now; this result was not published.")
        if s.output_dir is not None:
            publisher.keep_copies(s.output_dir, claim.task_id, self._result)

    def _patched_definition(self) -> contextlib.AbstractContextManager[None]:
        """`svi2pro` belongs to the model definition: a task that names it patches it for its own duration."""
        if self._params.svi2pro is None:
            return contextlib.nullcontext()
        s = self._services
        return patched_model_def(
            s.registry.models_def, self._plan.model, {"svi2pro": self._params.svi2pro}, loaded=s.engine
        )

    def _write(self, generation: Generation) -> None:
        s, folder = self._services, self._folder
        given = self._segment.pictures
        kept = write_video(
            generation,
            folder / VIDEO_FILE,
            self._plan.fps,
            metadata(self._plan, self._claim, generation, self._inputs, s.engine.versions()),
            self._listener,
        )
        self._listener.on_phase(Phase.CHECKING)
        if generation.save_handoff is not None:
            generation.save_handoff(folder / LATENTS_FILE)
        title = f"{self._plan.model}  seed {self._plan.seed}  {self._plan.width}x{self._plan.height}"
        write_stills(kept, given, title, folder)
        self._result = describe(
            self._plan,
            self._inputs,
            generation,
            (*self._plan.adjustments, *self._segment.adjustments, *generation.adjustments),
            scores(kept, generation, given),
            s.engine.versions(),
            s.worker_id,
        )


def _fresh_seed() -> int:
    return secrets.randbits(32)
