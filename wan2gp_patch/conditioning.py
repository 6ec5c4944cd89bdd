"""What the video model is told about known frames."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import torch
from torch import Tensor

from wan2gp_patch.adjustment import Adjustment
from wan2gp_patch.errors import ConditioningError
from wan2gp_patch.frames import FRAMES_PER_LATENT, Continuation, EndFrameMode, decoded_frames, sequence_length


@dataclass(frozen=True, eq=False)
class Conditioning:
    """One clip's conditioning.

    `latents` float32 [16, T, h, w], normalised; `mask` float32 [4, T, h, w], 1 = known, four sub-frames per
    latent frame. `num_frames` counts the clip's pixel frames (4 more for each latent in `reference_latents`,
    which are the first of `latents` and are dropped before decoding). `continuation` says which frames at
    its head repeat the clip before. `adjustments` lists every value that is not the one asked for.
    """

    latents: Tensor
    mask: Tensor
    end_frame_mode: EndFrameMode
    num_frames: int
    adjustments: Sequence[Adjustment] = ()
    continuation: Continuation = field(default_factory=Continuation.nothing)
    reference_latents: int = 0

    def __post_init__(self) -> None:
        if self.latents.shape[1:] != self.mask.shape[1:]:
            raise ConditioningError(
                f"latents {list(self.latents.shape)} do not fit the mask {list(self.mask.shape)}: the VAE "
                f"gave {self.latents.shape[1]} latent frames where {self.mask.shape[1]} are expected"
            )

    @property
    def y(self) -> Tensor:
        """What the model reads beside the noise: [mask 4 ; latents 16], float32 [20, T, h, w]."""
        return torch.cat([self.mask, self.latents], dim=0)

    @property
    def decode_end_frame(self) -> bool:
        """Whether the sampled latents are decoded in end-frame mode, and the last frame dropped."""
        return self.end_frame_mode is EndFrameMode.EXTRA_LATENT

    @property
    def decoded_frames(self) -> int:
        """Pixel frames that decoding gives, without the reference latents: 82 for 81 in `extra_latent`."""
        return decoded_frames(
            self.num_frames - FRAMES_PER_LATENT * self.reference_latents, self.end_frame_mode
        )

    @property
    def sequence_length(self) -> int:
        """Tokens that the transformer reads: T * h * w / 4."""
        return sequence_length(*self.latents.shape[1:])
