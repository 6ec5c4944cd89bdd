"""Which measurements of a clip are flaws, in words."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from types import MappingProxyType

from headless.quality.clip_meter import ClipScores
from headless.quality.fidelity import psnr, ssim
from headless.quality.thresholds import Threshold, Thresholds
from headless.segment import Picture


class Check(StrEnum):
    """What is looked for before a clip is published."""

    FINITE = "finite"
    BLACK = "black"
    GREY = "grey"
    FROZEN = "frozen"
    START = "start"
    END = "end"


@dataclass(frozen=True)
class Finding:
    """A check that a clip has failed: what was measured and which limits it broke, by threshold."""

    check: Check
    measured: Mapping[str, float]
    limits: Mapping[str, float]
    sentence: str

    def as_json(self) -> dict[str, object]:
        """`{check, measured, limits, sentence}`."""
        measured = {name: round(value, 4) for name, value in self.measured.items()}
        return {
            "check": self.check.value,
            "measured": measured,
            "limits": dict(self.limits),
            "sentence": self.sentence,
        }


def flaws(
    scores: ClipScores, not_finite_frames: int, checks: Iterable[Check], limits: Thresholds
) -> tuple[Finding, ...]:
    """What `checks` find in a clip's measurements; the two that compare pictures are `unlike`."""
    measured = {
        Check.FINITE: ("not_finite_frames", float(not_finite_frames)),
        Check.BLACK: ("black_share", scores.black_share),
        Check.GREY: ("grey_share", scores.grey_share),
        Check.FROZEN: ("frozen_share", scores.frozen_share),
    }
    found = []
    for check, (name, value) in measured.items():
        limit: Threshold = getattr(limits, name)
        if check in checks and limit.flagged_by(value):
            sentence = _SENTENCES[check].format(value=value, limit=limit.value)
            found.append(Finding(check, {name: value}, {name: limit.value}, sentence))
    return tuple(found)


_SENTENCES: Mapping[Check, str] = MappingProxyType(
    {
        Check.FINITE: "{value:.0f} of its frames hold numbers that are not finite (not_finite_frames)",
        Check.BLACK: "{value:.0%} of its frames in a row are black, at most {limit:.0%} may be (black_share)",
        Check.GREY: "{value:.0%} of its frames in a row are grey, at most {limit:.0%} may be (grey_share)",
        Check.FROZEN: "it stands still for {value:.0%} of its length, {limit:.0%} are allowed (frozen_share)",
    }
)


def unlike(
    check: Check, frame: Picture, given: Picture, name: str, limits: Thresholds
) -> tuple[Finding, ...]:
    """One finding where a frame does not show the picture `name`, which it should; else none.

    It must be unlike in both ways: PSNR falls with light and contrast, SSIM with noise and fine detail, and
    both may be as the model sees them. SSIM, which takes longer, is computed only where PSNR is low.
    """
    decibels = psnr(frame, given)
    if not limits.picture_psnr.flagged_by(decibels):
        return ()
    likeness = ssim(frame, given)
    if not limits.picture_ssim.flagged_by(likeness):
        return ()
    least = {"picture_psnr": limits.picture_psnr.value, "picture_ssim": limits.picture_ssim.value}
    place = "first" if check is Check.START else "last"
    sentence = (
        f"its {place} frame does not show {name}: PSNR is {decibels:.1f} dB and SSIM {likeness:.2f}, "
        f"{least['picture_psnr']:g} dB or {least['picture_ssim']:g} would do (picture_psnr, picture_ssim)"
    )
    return (Finding(check, {"picture_psnr": decibels, "picture_ssim": likeness}, least, sentence),)


def warnings(scores: ClipScores, limits: Thresholds) -> tuple[str, ...]:
    """What is worth telling about a clip, and no reason to refuse it."""
    told = [
        f"{run} frames in a row are {what}"
        for what, run in (
            ("black", scores.black_run),
            ("plain grey", scores.grey_run),
            ("frozen", scores.frozen_run),
        )
        if limits.run_length.flagged_by(run)
    ]
    if scores.seam is not None:
        told += _seam_warnings(scores.seam.difference, scores.seam.colour, limits)
    if scores.drift is not None and limits.drift_delta_e.flagged_by(scores.drift.delta_e):
        told.append(f"the clip ends {scores.drift.delta_e:.1f} Delta E away from its anchor")
    return tuple(told)


def _seam_warnings(difference: float, colour: float, limits: Thresholds) -> list[str]:
    told = []
    if limits.seam_difference.flagged_by(difference):
        told.append(f"the clip jumps where it begins: {difference:.1f} times the change around it")
    if limits.seam_colour.flagged_by(colour):
        told.append(f"the colours jump where the clip begins: {colour:.1f} times the change around it")
    return told
