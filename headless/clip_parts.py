"""Brings together what every clip of a task is made from, before the engine has its turn."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from headless.clip_made import ClipParts
from headless.errors import BadParams
from headless.fingerprint import fingerprint
from headless.inputs import Inputs
from headless.loras import LoraSource, locate_loras
from headless.planning.chain import ChainClip, ChainPlan
from headless.planning.loras import PlannedLora
from headless.quality.thresholds import load_thresholds
from headless.request import Fitted, segment_inputs
from headless.segment import LoraUse
from headless.segment_digest import picture_hashes
from wan2gp_patch.frames import Source


class PartsGatherer:
    """What clips have in common is located, fitted and hashed once. `check` is called often and may raise."""

    def __init__(self, inputs: Inputs, loras: LoraSource, check: Callable[[], None]) -> None:
        self._inputs = inputs
        self._source = loras
        self._check = check
        self._fitted = Fitted()
        self._limits = load_thresholds()
        self._located: dict[tuple[PlannedLora, ...], tuple[LoraUse, ...]] = {}
        self._fingerprints: dict[Path, str] = {}
        self._pictures: dict[int, str] = {}

    def of(self, chain: ChainPlan) -> tuple[ClipParts, ...]:
        """The parts of every clip. Raises `BadInput`, `BadParams` and what a LoRA that is not there does."""
        return tuple(self._parts(clip) for clip in chain.clips)

    def _parts(self, clip: ChainClip) -> ClipParts:
        inputs = self._inputs.of_clip(clip)
        if clip.index == 0 and clip.continues is Source.LATENTS and inputs.previous_latents is None:
            field = clip.fields.get("continue_from", "continue_from")
            raise BadParams(
                f"{field}: the task left no latents to go on from. Give its video, or the continuation "
                '"pixels" or "last_frame".'
            )
        made = segment_inputs(clip.plan, inputs, self._loras(clip), self._check, self._fitted)
        # Before the engine has its turn, `strict` refuses by them, in the task's own words.
        told = tuple(replace(one, field=clip.fields.get(one.field, one.field)) for one in made.adjustments)
        made = replace(made, adjustments=told)
        self._pictures |= picture_hashes(array for array in made.arrays if id(array) not in self._pictures)
        return ClipParts(clip, made, self._fingerprints, self._pictures, self._limits)

    def _loras(self, clip: ChainClip) -> tuple[LoraUse, ...]:
        planned = clip.plan.loras
        if planned not in self._located:
            self._located[planned] = locate_loras(planned, self._source, self._check)
        for lora in self._located[planned]:
            if lora.path not in self._fingerprints:
                self._fingerprints[lora.path] = fingerprint(lora.path)
        return self._located[planned]
