"""Where a measurement becomes a flaw: one data file, each value with the clips that set it."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

FILE = Path(__file__).parent / "thresholds.json"

Measured = Annotated[float, Field(allow_inf_nan=False)]


class Threshold(BaseModel):
    """One limit. `accepted` and `flagged` hold what was measured on the clips that set it."""

    model_config = ConfigDict(strict=True, frozen=True, extra="forbid")

    value: Measured
    flags: Literal["above", "below"]
    """On which side of `value` a measurement is flagged; `value` itself is accepted."""
    unit: Annotated[str, Field(min_length=1)]
    meaning: Annotated[str, Field(min_length=1)]
    accepted: Annotated[dict[str, Measured], Field(min_length=1)]
    flagged: Annotated[dict[str, Measured], Field(min_length=1)]

    def flagged_by(self, measured: float) -> bool:
        """Whether a measurement lies on the wrong side. One that is not a number does."""
        return not (measured <= self.value if self.flags == "above" else measured >= self.value)

    @model_validator(mode="after")
    def _separates(self) -> Threshold:
        for clip, measured in self.accepted.items():
            if self.flagged_by(measured):
                raise ValueError(f"the value {self.value} flags the clip {clip!r} ({measured}); accept it")
        for clip, measured in self.flagged.items():
            if not self.flagged_by(measured):
                raise ValueError(f"the value {self.value} accepts the clip {clip!r} ({measured}); flag it")
        return self


class Thresholds(BaseModel):
    """Every limit of the meters. What each means stands in the file."""

    model_config = ConfigDict(strict=True, frozen=True, extra="forbid")

    format: Literal[1]
    black_luma: Threshold
    black_share: Threshold
    grey_luma_std: Threshold
    grey_chroma: Threshold
    grey_luma_distance: Threshold
    grey_share: Threshold
    frozen_difference: Threshold
    frozen_share: Threshold
    not_finite_frames: Threshold
    picture_psnr: Threshold
    picture_ssim: Threshold
    run_length: Threshold
    seam_difference: Threshold
    seam_colour: Threshold
    drift_delta_e: Threshold


def load_thresholds(path: Path = FILE) -> Thresholds:
    """Read and check the file. Raises `ValueError` that names what is wrong in it."""
    return Thresholds.model_validate_json(path.read_text(encoding="utf-8"))
