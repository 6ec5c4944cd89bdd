"""What the engine is asked for, and what it gives back. Pictures are numpy arrays; no tensor passes here."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from headless.task import Phase
from wan2gp_patch.adjustment import Adjustment

Picture = npt.NDArray[np.uint8]
"""One RGB picture, uint8 [H, W, 3], upright, sRGB."""

Clip = npt.NDArray[np.uint8]
"""Consecutive RGB frames, uint8 [T, H, W, 3]."""

Mask = npt.NDArray[np.float32]
"""A temporal mask, float32 [T, H, W] in 0..1, 1 = known."""


@dataclass(frozen=True)
class LoraUse:
    """One LoRA file and its strength per phase of the model definition (one value: all phases)."""

    name: str
    path: Path
    strengths: tuple[tuple[float, ...], ...]
    """Outer: one entry per phase. Inner: one value, or one per step of that phase."""


@dataclass(frozen=True)
class SegmentRequest:
    """One clip, with every value resolved: nothing here is a default any more.

    Sizes are multiples of 16, `num_frames` is 4k+1, pictures already have the size of the clip.
    `phase_steps` splits the steps over the guidance phases where the request fixes the split
    (otherwise the model definition's boundary or thresholds decide). `phase_guidance` has one value per phase
    and wins over the two scales; the first `high_noise_phases` phases run on the high-noise expert. Both are
    derived from the model's settings where they are `None`.
    """

    model: str
    prompt: str
    negative_prompt: str
    width: int
    height: int
    num_frames: int
    steps: int
    guidance_scale: float
    guidance_scale_2: float
    flow_shift: float
    seed: int
    end_frame_mode: str
    motion_latent_count: int
    svi_pad_empty_frames_with_anchor: bool
    start_image: Picture | None = None
    end_image: Picture | None = None
    anchor_image: Picture | None = None
    prefix: Clip | None = None
    previous_latents: Path | None = None
    pad_video: Clip | None = None
    known_mask: Mask | None = None
    start_latent_strength: float = 1.0
    end_latent_strength: float = 1.0
    augment_empty_frames: float = 0.0
    noise_augmentation: float = 0.0
    overlap: int = 4
    end_tail_latents: int = 0
    """Latents at the end of the clip that are not handed on to the next one."""
    start_is_last_frame: bool = False
    """`start_image` is the last frame of the clip before, which the first frame repeats."""
    loras: tuple[LoraUse, ...] = ()
    sampled_latents: Path | None = None
    """What `Generation.save_sampled` wrote for this very request: nothing is sampled again."""
    phase_steps: tuple[int, ...] | None = None
    phase_guidance: tuple[float, ...] | None = None
    high_noise_phases: int | None = None
    solver: str = "unipc"
    strict: bool = False
    """Nothing may be adjusted: what the conditioning would change is refused before anything is sampled."""


class EngineListener(Protocol):
    """Told by the engine where it is. Either call may raise an `Interruption`, which stops the run."""

    def on_phase(self, phase: Phase) -> None:
        """A new phase begins. Also called between chunks of a long phase, to give room for a cancel."""

    def on_step(self, step: int, steps: int, preview: Callable[[], Picture] | None) -> None:
        """Denoising step `step` of `steps` is done. `preview()` maps the latents to a small RGB picture."""


@dataclass
class Generation:
    """A sampled clip whose frames are decoded while they are read.

    `frames` yields exactly `num_frames` pictures, once. `new_frames` of them, counted from the end, are new:
    the first `num_frames - new_frames` repeat what came before and are cut when a clip continues another.
    `end_frame` is the decoded picture that stands for the end image where it is not the last frame
    (end-frame mode `extra_latent`); known only after `frames` is exhausted.
    `details` (timings, kernels, memory plan, sizes) goes into the result as it is.
    """

    width: int
    height: int
    num_frames: int
    new_frames: int
    frames: Iterator[Picture]
    end_frame_mode: str
    adjustments: tuple[Adjustment, ...] = ()
    details: Mapping[str, Any] = field(default_factory=dict)
    save_handoff: Callable[[Path], None] | None = None
    """Writes the sampled latents (never y; without the end latent) as safetensors for the next clip."""
    save_sampled: Callable[[Path], None] | None = None
    """Writes everything that was sampled, the end latent too, so that decoding can be done again."""
    end_frame: Callable[[], Picture | None] = lambda: None
    not_finite: Callable[[], int] = lambda: 0
    """How many frames held a NaN or an infinity before they became 8-bit, the end frame too; known only after
    `frames` is exhausted."""
