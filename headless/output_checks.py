"""The checks of a clip before it is published: which apply, what they measured, what is said of it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

from headless.errors import BadOutput
from headless.plan import Plan
from headless.publish import KeptFrames
from headless.quality.clip_meter import ClipMeter
from headless.quality.fidelity import fidelity
from headless.quality.frame_look import look_at
from headless.quality.thresholds import Thresholds
from headless.quality.verdict import Check, Finding, flaws, unlike, warnings
from headless.segment import Generation, Picture

_ADVICE: Mapping[Check, str] = MappingProxyType(
    {
        Check.FINITE: "The model, its precision or a LoRA does not compute here: leave LoRAs out, or "
        'set vae_precision to "fp32" in the model definition.',
        Check.BLACK: "Change the prompt, the images or the LoRAs.",
        Check.GREY: "Change the prompt, the images or the LoRAs; with an end_image, another end_frame_mode.",
        Check.FROZEN: "Describe a motion in the prompt, or take out a LoRA that slows it.",
        Check.START: "Give a model that was made for start images, and take out LoRAs of another model.",
        Check.END: "Give more frames, another end_frame_mode, or an end_image that is nearer to the start.",
    }
)


@dataclass(frozen=True)
class Refusal:
    """A clip that failed: with which seed, how, and everything that was measured."""

    seed: int
    findings: tuple[Finding, ...]
    scores: Mapping[str, Any]

    def as_json(self) -> dict[str, Any]:
        """`{seed, failed, scores}`."""
        return {
            "seed": self.seed,
            "failed": [finding.as_json() for finding in self.findings],
            "scores": dict(self.scores),
        }

    @property
    def sentence(self) -> str:
        """What is wrong, with measurements and limits: a clip that is black is most often more than that."""
        first, *others = self.findings
        also = f"; and it fails {', '.join(finding.check for finding in others)}" if others else ""
        return f"{first.check}: {first.sentence}{also}"


class ClipRefused(Exception):
    """Unwinds the encoder of a clip that is not wanted."""

    def __init__(self, refusal: Refusal) -> None:
        super().__init__(refusal.sentence)
        self.refusal = refusal


@dataclass(frozen=True)
class _Likeness:
    """A frame, and the picture of the parameter `name` that it should show."""

    frame: Picture
    picture: Picture
    name: str


class OutputChecks:
    """The checks of one clip. `pictures`: the given images in the size of the clip, by parameter; `before`:
    the last frame shown before it, where it is known."""

    def __init__(
        self,
        plan: Plan,
        pictures: Mapping[str, Picture],
        limits: Thresholds,
        before: Picture | None = None,
    ) -> None:
        self._plan = plan
        self._pictures = pictures
        self._before = before
        self._limits = limits

    def meter(self, generation: Generation) -> ClipMeter:
        """What is to be offered every frame of a generation, the head too."""
        head = generation.num_frames - generation.new_frames
        return ClipMeter(self._limits, head, self.anchor if self._plan.svi2pro else None)

    @property
    def anchor(self) -> Picture | None:
        """How things should look: the anchor, else the start image."""
        return self._pictures.get("anchor_image", self._pictures.get("start_image"))

    def judge(self, seed: int, kept: KeptFrames, generation: Generation, meter: ClipMeter) -> None:
        """Raise `ClipRefused` if the checks are on and one of them fails."""
        if not self._plan.output_checks:
            return
        checks = set(Check) - set(self._left_out(generation, meter))
        findings = list(flaws(meter.scores(), generation.not_finite(), checks, self._limits))
        likenesses = self._likenesses(kept, generation)
        for check in (Check.START, Check.END):
            if check in checks and (pair := likenesses.get(check.value)) is not None:
                findings += unlike(check, pair.frame, pair.picture, pair.name, self._limits)
        if findings:
            raise ClipRefused(Refusal(seed, tuple(findings), self.scores(kept, generation, meter)))

    def scores(self, kept: KeptFrames, generation: Generation, meter: ClipMeter) -> dict[str, Any]:
        """Everything that is measured, as JSON: `start`, `end` and `last` are likenesses to given images.

        `end` is about the frame that stands for the end image: in mode `extra_latent` the one that is
        dropped, and `last` is then about the last one that is shown. A continuation shows no start image.
        """
        told: dict[str, Any] = {}
        for name, pair in self._likenesses(kept, generation).items():
            told[name] = fidelity(pair.frame, pair.picture).as_json()
            if name == "end":
                told[name]["frame"] = "last" if _not_shown(kept, generation) is None else "dropped"
        return told | meter.scores().as_json() | {"not_finite_frames": generation.not_finite()}

    def warnings(self, generation: Generation, meter: ClipMeter) -> tuple[str, ...]:
        """What is worth telling the user of a clip that is published."""
        return *not_finite_told(generation), *warnings(meter.scores(), self._limits)

    def told(self, generation: Generation, meter: ClipMeter, refused: Refusal | None) -> dict[str, Any]:
        """What the result says about the checks: which passed, which did not apply and why, and the clip
        that was made before this one and refused."""
        if not self._plan.output_checks:
            return {"enabled": False}
        left_out = self._left_out(generation, meter)
        told: dict[str, Any] = {
            "enabled": True,
            "passed": [check.value for check in Check if check not in left_out],
            "not_applied": {check.value: why for check, why in left_out.items()},
        }
        return told if refused is None else told | {"refused": refused.as_json()}

    def _likenesses(self, kept: KeptFrames, generation: Generation) -> dict[str, _Likeness]:
        """`start`, `end` and `last`, as far as there is something to compare with."""
        found: dict[str, _Likeness] = {}
        first = next((name for name in ("start_image", "anchor_image") if name in self._pictures), None)
        if first is not None and generation.new_frames == generation.num_frames:
            found["start"] = _Likeness(kept.first, self._pictures[first], first)
        if "end_image" in self._pictures:
            end, dropped = self._pictures["end_image"], _not_shown(kept, generation)
            found["end"] = _Likeness(kept.last if dropped is None else dropped, end, "end_image")
            if dropped is not None:
                found["last"] = _Likeness(kept.last, end, "end_image")
        return found

    def _left_out(self, generation: Generation, meter: ClipMeter) -> dict[Check, str]:
        """Checks that do not apply to this task, and why."""
        return dict((*self._expected_looks(meter), *self._start_left_out(generation), *self._end_left_out()))

    def _expected_looks(self, meter: ClipMeter) -> Iterator[tuple[Check, str]]:
        """A clip may be as black or grey as what it is made from."""
        looks = {name: look_at(picture) for name, picture in self._pictures.items()}
        black = [name for name, look in looks.items() if look.is_black(self._limits)]
        grey = [name for name, look in looks.items() if look.is_grey(self._limits)]
        before = None if self._before is None else look_at(self._before)
        if black or (meter.continues_black if before is None else before.is_black(self._limits)):
            yield Check.BLACK, f"{black[0] if black else 'the clip before'} is black itself"
        if grey or (meter.continues_grey if before is None else before.is_grey(self._limits)):
            yield Check.GREY, f"{grey[0] if grey else 'the clip before'} is plain grey itself"

    def _start_left_out(self, generation: Generation) -> Iterator[tuple[Check, str]]:
        if generation.new_frames != generation.num_frames:
            yield Check.START, "the clip continues another one"
        elif not {"start_image", "anchor_image"} & set(self._pictures):
            yield Check.START, "there is no start_image"
        elif (why := self._weakened(self._plan.start_latent_strength, "start_latent_strength")) is not None:
            yield Check.START, why

    def _end_left_out(self) -> Iterator[tuple[Check, str]]:
        if "end_image" not in self._pictures:
            yield Check.END, "there is no end_image"
        elif (why := self._weakened(self._plan.end_latent_strength, "end_latent_strength")) is not None:
            yield Check.END, why

    def _weakened(self, strength: float, name: str) -> str | None:
        """Why the task does not want a given image shown as it is."""
        plan = self._plan
        if strength != 1:
            return f"{name} is {strength:g}"
        if plan.noise_augmentation:
            return f"noise_augmentation is {plan.noise_augmentation:g}"
        return "a known_mask is given" if "known_mask" in plan.references else None


def not_finite_told(generation: Generation) -> tuple[str, ...]:
    """The warning about frames that held a NaN or an infinity, where there were any."""
    bad = generation.not_finite()
    return (f"{bad} frames hold numbers that are not finite",) if bad else ()


def _not_shown(kept: KeptFrames, generation: Generation) -> Picture | None:
    """The frame that stands for the end image, where it is dropped or lies in a tail that is cut."""
    dropped = generation.end_frame()
    return kept.end if dropped is None else dropped


def bad_output(refusals: tuple[Refusal, ...], *, strict: bool) -> BadOutput:
    """The error of a task whose clips were all refused; `strict` left no room for another seed."""
    tries = " ".join(f"With seed {refusal.seed}, {refusal.sentence}." for refusal in refusals)
    advice = _ADVICE[refusals[-1].findings[0].check]
    alone = "strict allows no second try with another seed. " if strict else ""
    return BadOutput(
        f"The clip failed its output checks. {tries} {alone}{advice} "
        "To have such a clip published as it is, set output_checks to false."
    )
