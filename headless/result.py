"""What is said about a finished task: the result's JSON, and the metadata inside the video."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from headless import __version__
from headless.inputs import Inputs
from headless.plan import Plan, plan_json
from headless.segment import Generation
from headless.task import Claim
from wan2gp_patch.adjustment import Adjustment

FORMAT = 1
METADATA_KEY = "headless"


def effective(plan: Plan) -> dict[str, Any]:
    """The parameters as they were used, under canonical names."""
    values = plan_json(plan)
    values.pop("adjustments", None)
    return values


def metadata(
    plan: Plan, claim: Claim, generation: Generation, inputs: Inputs, versions: Mapping[str, str]
) -> dict[str, str]:
    """What goes into the video file itself: one JSON text under `headless`, and a comment for players."""
    told = {
        "format": FORMAT,
        "task": claim.task_id,
        "task_type": claim.task_type,
        "model": plan.model,
        "seed": plan.seed,
        "parameters": effective(plan),
        "end_frame_mode": generation.end_frame_mode,
        "inputs": inputs.hashes(),
        "versions": {"headless": __version__, **versions},
    }
    return {METADATA_KEY: json.dumps(told, ensure_ascii=False), "comment": f"{plan.model}, seed {plan.seed}"}


def describe(
    plan: Plan,
    inputs: Inputs,
    generation: Generation,
    adjustments: tuple[Adjustment, ...],
    quality: Mapping[str, Any],
    versions: Mapping[str, str],
    worker_id: str,
    timings: Mapping[str, float],
) -> dict[str, Any]:
    """The result of a task, less its files, known after the upload. `timings`: seconds per phase;
    `quality`: what was measured, what the output checks said, and what is worth a warning."""
    return {
        "format": FORMAT,
        "model": plan.model,
        "seed": plan.seed,
        "frames": generation.new_frames,
        "head_frames_cut": generation.num_frames - generation.new_frames,
        "width": generation.width,
        "height": generation.height,
        "fps": plan.fps,
        "end_frame_mode": generation.end_frame_mode,
        "parameters": effective(plan),
        "adjustments": [entry.as_json() for entry in adjustments],
        "inputs": inputs.hashes(),
        "output_checks": plan.output_checks,
        **quality,
        "engine": dict(generation.details),
        "versions": {"headless": __version__, **versions},
        "worker": worker_id,
        "timings": dict(timings),
    }
