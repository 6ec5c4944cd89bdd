"""What is said about a finished task: the result's JSON, and the metadata inside the video."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from headless import __version__
from headless.clip_made import ClipMade
from headless.inputs import Inputs
from headless.params import Parsed
from headless.planning.as_json import chain_json, plan_json
from headless.planning.chain import ChainPlan
from headless.planning.plan import Plan
from headless.task import Claim
from headless.task_told import told_task
from wan2gp_patch.adjustment import Adjustment

FORMAT = 1
METADATA_KEY = "headless"


@dataclass(frozen=True)
class Facts:
    """What a task is known by, whatever comes of it."""

    claim: Claim
    parsed: Parsed
    chain: ChainPlan
    inputs: Inputs
    versions: Mapping[str, str]
    worker_id: str

    @property
    def all_versions(self) -> dict[str, str]:
        """Of the worker and of its engine."""
        return {"headless": __version__, **self.versions}


def effective(plan: Plan) -> dict[str, Any]:
    """The parameters of a clip as they were used, under canonical names."""
    values = plan_json(plan)
    values.pop("adjustments", None)
    return values


def effective_of_chain(chain: ChainPlan) -> dict[str, Any]:
    """The same for a chain."""
    values = chain_json(chain)
    values.pop("adjustments", None)
    return values


def metadata(facts: Facts, plan: Plan, end_frame_mode: str, **more: Any) -> dict[str, str]:
    """What goes into the video file itself: one JSON text under `headless`, and a comment for players.

    `plan`: of the only clip, or of the last one; `more`: what a chain has other than that.
    """
    told = {
        "format": FORMAT,
        "task": facts.claim.task_id,
        "task_type": facts.claim.task_type,
        "model": plan.model,
        "seed": plan.seed,
        "parameters": effective(plan),
        "end_frame_mode": end_frame_mode,
        "inputs": facts.inputs.hashes(),
        "versions": facts.all_versions,
        "request": told_task(facts.parsed.params),
        **more,
    }
    return {
        METADATA_KEY: json.dumps(told, ensure_ascii=False),
        "comment": f"{plan.model}, seed {told['seed']}",
    }


def chain_metadata(facts: Facts, last: Plan, end_frame_mode: str) -> dict[str, str]:
    """The same for a chain: its own seed and parameters."""
    return metadata(
        facts,
        last,
        end_frame_mode,
        seed=facts.chain.seed,
        parameters=effective_of_chain(facts.chain),
    )


def describe(
    facts: Facts,
    made: ClipMade,
    segments: list[dict[str, Any]],
    timings: Mapping[str, float],
    adjustments: tuple[Adjustment, ...],
    extended: int = 0,
) -> dict[str, Any]:
    """The result of a task, less its files, known after the upload.

    `made`: the only clip, or the last one; `timings`: seconds per phase; `extended`: frames of the video that
    was extended, which come first. What is measured of the only segment stands beside it as well.
    """
    chain, generation, plan = facts.chain, made.generation, made.parts.clip.plan
    alone = len(segments) == 1
    quality = {name: segments[0][name] for name in ("checks", "warnings")} if alone else {}
    if alone:
        quality |= {"scores": _with_seam(segments[0])}
    else:
        quality |= {"warnings": [f"segment {s['index']}: {text}" for s in segments for text in s["warnings"]]}
    return {
        "format": FORMAT,
        "model": plan.model,
        "seed": plan.seed if alone else chain.seed,
        "frames": extended + sum(segment["frames"] for segment in segments),
        **({"extended_frames": extended} if extended else {}),
        "head_frames_cut": segments[0]["head_frames_cut"],
        "width": generation.width,
        "height": generation.height,
        "fps": plan.fps,
        "end_frame_mode": generation.end_frame_mode,
        "parameters": effective(plan) if alone else effective_of_chain(chain),
        "adjustments": [entry.as_json() for entry in adjustments],
        "inputs": facts.inputs.hashes(),
        "output_checks": plan.output_checks,
        **quality,
        "segments": segments,
        "engine": dict(generation.details),
        "versions": facts.all_versions,
        "worker": facts.worker_id,
        "timings": dict(timings),
        **facts.parsed.as_json(),
    }


def _with_seam(segment: Mapping[str, Any]) -> dict[str, Any]:
    scores: dict[str, Any] = segment["scores"]
    return scores | ({} if segment["seam"] is None else {"seam": segment["seam"]})
