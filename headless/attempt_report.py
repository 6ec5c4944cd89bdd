"""What an attempt tells about itself when it ends: the same, however it ends, as far as it came."""

from __future__ import annotations

import resource
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from headless import __version__
from headless.params.parsed import Parsed
from headless.planning.chain import ChainPlan
from headless.planning.plan import Plan
from headless.result import effective, effective_of_chain
from headless.task import Json
from wan2gp_patch.adjustment import Adjustment

FORMAT = 1


@dataclass(frozen=True)
class PeakMemory:
    """The most bytes that were taken at once.

    `rss`: of main memory, since the process started. `gpu`: by torch on the device, since the model was
    placed there; None without a GPU, or before the engine was reached.
    """

    rss: int
    gpu: int | None = None

    def as_json(self) -> dict[str, Json]:
        """Each under a name that says since when it counts."""
        told: dict[str, Json] = {"process_peak_rss_bytes": self.rss}
        return told if self.gpu is None else told | {"gpu_peak_bytes_since_load": self.gpu}


@dataclass(frozen=True)
class AttemptReport:
    """Replaced by a fuller one as the attempt goes on.

    `parsed`: what was read of the task; `plan`: of its first clip; `chain`: of all,
    where there are several;
    `inputs`: field -> SHA-256; `weights`: role of a file -> fingerprint; `loras`: names and fingerprints,
    as the hash of a checkpoint's inputs has them;
    `engine`: what the engine has found so far, which goes on changing; `memory`: its memory plan, also where
    it came to no clip.
    """

    parsed: Parsed | None = None
    plan: Plan | None = None
    chain: ChainPlan | None = None
    adjustments: tuple[Adjustment, ...] = ()
    inputs: Mapping[str, str] = field(default_factory=dict)
    weights: Mapping[str, str] = field(default_factory=dict)
    loras: Sequence[Mapping[str, Json]] = ()
    end_frame_mode: str | None = None
    engine: Mapping[str, Any] = field(default_factory=dict)
    memory: Mapping[str, Any] = field(default_factory=dict)
    peak: PeakMemory | None = None

    def as_json(self, versions: Mapping[str, str], timings: Mapping[str, float]) -> dict[str, Any]:
        """What reaches the attempt's row, with seconds per phase. What it never came to is not in it."""
        peak = self.peak or peak_memory()
        return {
            "format": FORMAT,
            "versions": {"headless": __version__, **versions},
            "timings": dict(timings),
            "memory": {**peak.as_json(), **self._plan_of_memory()},
            **self._planned(),
        }

    def _plan_of_memory(self) -> dict[str, Any]:
        names = {"memory": "plan", "weights": "weights", "memory_steps_down": "steps_down"}
        known = {**self.engine, **self.memory}
        return {name: known[key] for key, name in names.items() if key in known}

    def _planned(self) -> dict[str, Any]:
        if self.plan is None:
            return {}
        translated = self.parsed.adjustments if self.parsed else ()
        planned = (self.chain or self.plan).adjustments
        told = {
            "model": self.plan.model,
            "parameters": effective(self.plan) if self.chain is None else effective_of_chain(self.chain),
            "adjustments": [entry.as_json() for entry in (*translated, *planned, *self.adjustments)],
            **(self.parsed.as_json() if self.parsed else {}),
            "inputs": dict(self.inputs),
            "weights": dict(self.weights),
            "loras": [dict(lora) for lora in self.loras],
        }
        return told if self.end_frame_mode is None else told | {"end_frame_mode": self.end_frame_mode}


def peak_memory(gpu: int | None = None) -> PeakMemory:
    """Up to now."""
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return PeakMemory(peak if sys.platform == "darwin" else peak * 1024, gpu)
