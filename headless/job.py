"""What a job is given: the seams and the folders, in one frozen bundle."""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from headless.loras import LoraSource
from headless.media.fetch import FetchLimits
from headless.media.guard import FetchPolicy
from headless.outbox import Outbox
from headless.ports import Clock, Engine, ModelRegistry, Storage, TaskQueue
from headless.shutdown import Shutdown
from headless.watchdog import DEFAULT_FLOOR
from headless.workspace import Workspace


@dataclass(frozen=True)
class JobServices:
    """Everything that running a task needs from outside."""

    queue: TaskQueue
    storage: Storage
    engine: Engine
    registry: ModelRegistry
    clock: Clock
    shutdown: Shutdown
    worker_id: str
    workspace: Workspace
    outbox: Outbox
    loras: LoraSource
    output_dir: Path | None = None
    fetch_policy: FetchPolicy = field(default_factory=FetchPolicy)
    fetch_limits: FetchLimits = field(default_factory=FetchLimits)
    on_beat: Callable[[], None] = lambda: None
    stall_seconds: float = DEFAULT_FLOOR
    on_stalled: Callable[[], None] = lambda: None
    weights: Callable[[Mapping[str, Any]], Mapping[str, str]] = lambda _: {}
    """Fingerprints of the files that the engine loads for a model's section, by their roles."""
    gpu_peak: Callable[[], int | None] = lambda: None
    """The most bytes that the engine took on a GPU at once."""
    memory_told: Callable[[str], Mapping[str, Any]] = lambda _: {}
    """The memory plan under which the engine holds a model, and how it came to it."""
    planning: ModelRegistry = field(init=False, repr=False)
    """The definitions as they were at the start: the next task is planned while `registry` is patched for the
    current one, and must not see it."""

    def __post_init__(self) -> None:
        object.__setattr__(self, "planning", copy.deepcopy(self.registry))
