"""Sampled latents kept in storage, so that a later attempt need not sample again."""

from __future__ import annotations

import contextvars
import hashlib
import json
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import TracebackType

import structlog

from headless.errors import HeadlessError
from headless.inputs import Inputs
from headless.plan import Plan, plan_json
from headless.ports import Engine, Storage, TaskQueue
from headless.request import SegmentInputs
from headless.task import Claim

MAX_BYTES = 2_000_000_000

log = structlog.get_logger(__name__)


def input_hash(
    plan: Plan, inputs: Inputs, segment: SegmentInputs, loras: Sequence[str], engine: Engine
) -> str:
    """SHA-256 over everything that decides the latents: parameters, input files, model, LoRAs, versions.

    `loras`: the fingerprints of the segment's LoRA files. They were read beside the engine's work.
    """
    told = {
        "plan": plan_json(plan),
        "inputs": inputs.hashes(),
        "model": engine.model_def,
        "loras": [
            (lora.name, known, lora.strengths) for lora, known in zip(segment.loras, loras, strict=True)
        ],
        "versions": engine.versions(),
    }
    text = json.dumps(told, sort_keys=True, default=str)
    return hashlib.sha256(text.encode()).hexdigest()


class Checkpoints:
    """The checkpoints of one attempt. Recording goes on beside the work; a failure costs a log line."""

    def __init__(self, queue: TaskQueue, storage: Storage, claim: Claim, folder: Path) -> None:
        self._queue = queue
        self._storage = storage
        self._claim = claim
        self._folder = folder
        self._pool = ThreadPoolExecutor(1, thread_name_prefix="checkpoint")

    def __enter__(self) -> Checkpoints:
        self._pool.submit(lambda: None)  # The thread starts now, and not while the engine waits.
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._pool.shutdown(wait=True)

    def find(self, index: int, digest: str) -> Path | None:
        """The latents of segment `index`, if an earlier attempt with the same inputs left them."""
        found = next((c for c in self._claim.checkpoints if c.index == index), None)
        if found is None:
            return None
        if found.input_hash != digest:
            log.info("the checkpoint has other inputs; starting over", segment=index)
            return None
        path = self._folder / f"resumed-{index}-{digest[:12]}.safetensors"
        try:
            self._storage.fetch(found.object_key, path, MAX_BYTES)
        except HeadlessError as error:
            log.warning("the checkpoint cannot be fetched; starting over", segment=index, error=error.message)
            return None
        log.info("resuming after the sampling", segment=index)
        return path

    def record(self, index: int, digest: str, save: Callable[[Path], None]) -> None:
        """Save the latents and bring them to storage and queue, beside the work: `save` runs in another
        thread, once, before this attempt is left."""
        context = contextvars.copy_context()
        self._pool.submit(context.run, self._publish, index, digest, save)

    def _publish(self, index: int, digest: str, save: Callable[[Path], None]) -> None:
        claim = self._claim
        path = self._folder / f"checkpoint-{index}-{digest[:12]}.safetensors"
        key = f"{claim.output_prefix}/{path.name}"
        try:
            save(path)
            self._storage.put(key, path, "application/octet-stream")
            self._queue.checkpoint(claim.task_id, claim.attempt, index, digest, key)
        except (HeadlessError, OSError) as error:
            log.warning("checkpoint not kept", segment=index, error=str(error))
        except Exception as error:
            log.error("checkpoint not kept", segment=index, exc_info=error)
