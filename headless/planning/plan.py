"""What will run, every value resolved."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

from headless.planning.loras import PlannedLora
from headless.planning.seeds import segment_seed
from wan2gp_patch.adjustment import Adjustment
from wan2gp_patch.frames import Continuation


@dataclass(frozen=True)
class SegmentPlan:
    """One clip. `num_frames` are generated, of which the last `new_frames` are new; `latents` are sampled."""

    index: int
    seed: int
    num_frames: int
    new_frames: int
    latents: int


@dataclass(frozen=True)
class Plan:
    """One task as it will run. `headless.segment.SegmentRequest` says what the fields mean.

    `references` are the inputs that act (field -> reference), `end_frame_mode` is what an end image uses,
    also where there is none, and `phase_guidance` has one value per phase, of which the first
    `high_noise_phases` run on the high-noise expert.
    """

    model: str
    model_name: str
    architecture: str
    prompt: str
    negative_prompt: str
    references: Mapping[str, str]
    image_fit: str
    width: int
    height: int
    num_frames: int
    fps: int
    steps: int
    phase_steps: tuple[int, ...] | None
    phase_guidance: tuple[float, ...]
    high_noise_phases: int
    guidance_scale: float
    guidance_scale_2: float
    flow_shift: float
    solver: str
    seed: int
    seed_chosen: bool
    svi2pro: bool
    svi_pad_empty_frames_with_anchor: bool
    end_frame_mode: str
    continuation: Continuation
    motion_latent_count: int
    overlap: int
    start_latent_strength: float
    end_latent_strength: float
    augment_empty_frames: float
    noise_augmentation: float
    loras: tuple[PlannedLora, ...]
    output_checks: bool
    segments: tuple[SegmentPlan, ...]
    adjustments: tuple[Adjustment, ...]

    def with_seed(self, seed: int, why: str) -> Plan:
        """The same task from another seed, which is reported."""
        return replace(
            self,
            seed=seed,
            segments=tuple(replace(part, seed=segment_seed(seed, part.index)) for part in self.segments),
            adjustments=(*self.adjustments, Adjustment("seed", self.seed, seed, why)),
        )

    @property
    def frames_out(self) -> int:
        """Frames of the video that is published."""
        return sum(segment.new_frames for segment in self.segments)

    @property
    def duration_seconds(self) -> float:
        """Length of that video."""
        return self.frames_out / self.fps
