"""What the experts learn from: clips beside the conditioning that the product builds for them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final

import torch
from torch import Tensor

from training.vae_clip import ClipVae
from training.world import Scene, draw
from wan2gp_patch.any2video import (
    image_to_video_conditioning,
    svi_end_frame_conditioning,
    svi_pro_conditioning,
)
from wan2gp_patch.conditioning import Conditioning
from wan2gp_patch.frames import FRAMES_PER_LATENT, EndFrameMode

PREFIX: Final = 9
"""Known frames of a continuation from pixels: 5 + overlap 4."""


@dataclass(frozen=True)
class Case:
    """Latents [16, T, h, w] that a model is to make of `y` [20, T, h, w] and the prompt."""

    kind: str
    target: Tensor
    y: Tensor
    prompt: str


class WholeClipEncoder:
    """The seam to the VAE that the product's conditioning asks for, over the faster whole-clip VAE."""

    def __init__(self, vae: ClipVae, mean: Sequence[float], std: Sequence[float]) -> None:
        self._vae = vae
        self._mean = torch.tensor(mean).view(-1, 1, 1, 1)
        self._inverse = 1.0 / torch.tensor(std).view(-1, 1, 1, 1)

    @torch.no_grad()
    def encode(self, video: Tensor | Sequence[Tensor], end_frame: bool = False) -> Tensor:
        """Normalised latents [16, T, h, w] of pixels [3, t, H, W] or of parts of them."""
        pixels = video if isinstance(video, Tensor) else torch.cat(list(video), dim=1)
        parts = [pixels[:, :-1], pixels[:, -1:]] if end_frame else [pixels]
        moments = [self._vae.encode(part[None])[0][0] for part in parts]
        return (torch.cat(moments, dim=1) - self._mean) * self._inverse


def cases_of(vae: WholeClipEncoder, scene: Scene, frames: int, turn: int) -> Iterator[Case]:
    """The cases of one scene: the cheap kinds, and one of the dear ones by `turn`."""
    clip = draw(scene, 0, frames + 1)
    now, end = clip[:, :frames], clip[:, frames:]
    target = vae.encode(now)
    beyond = torch.cat([target, vae.encode(end)], dim=1)

    def told(known: Tensor | None, last: Tensor | None = None, mode: str = "extra_latent") -> Conditioning:
        return image_to_video_conditioning(
            vae,
            start=known,
            end=last,
            num_frames=frames,
            height=scene.height,
            width=scene.width,
            end_frame_mode=mode,
        )

    start, last = now[:, :1], now[:, -1:]
    yield _case("start", target, told(start), scene)
    yield _case("extra_latent", beyond, told(start, end), scene)
    yield _case("slot", target, told(start, last, "slot"), scene)
    match turn % 5:
        case 0:
            yield _case("in_chunk", target, told(start, last, "in_chunk"), scene)
        case 1:
            yield _case("repeat_4", target, told(start, last, "repeat_4"), scene)
        case 2:
            yield _case("prefix", target, told(now[:, :PREFIX]), scene)
            yield _case("prefix", beyond, told(now[:, :PREFIX], end), scene)
        case 3:
            yield _case("none", target, told(None), scene)
            yield from _svi(vae, scene, frames, 0)
        case _:
            yield from _svi(vae, scene, frames, turn // 5 % 4)


def _svi(vae: WholeClipEncoder, scene: Scene, frames: int, link: int) -> Iterator[Case]:
    """A clip in a chain: link 0 begins it; link n continues what began n - 1 links after the anchor."""
    picture = draw(scene, 0, 1)
    anchor = vae.encode(picture)
    if not link:
        first = vae.encode(draw(scene, 0, frames))
        yield _case("svi", first, svi_pro_conditioning(anchor, num_frames=frames), scene)
        return
    new = frames - 1 - FRAMES_PER_LATENT
    begins = 1 + (link - 1) * new
    before = vae.encode(torch.cat([picture, draw(scene, begins, frames - 1)], dim=1))
    clip = torch.cat([picture, draw(scene, begins + new, frames)], dim=1)
    now, end = clip[:, :frames], clip[:, frames:]
    target = vae.encode(now)
    told = svi_pro_conditioning(anchor, num_frames=frames, previous_latents=before)
    yield _case("svi", target, told, scene)
    beyond = torch.cat([target, vae.encode(end)], dim=1)
    for mode, last, wanted in (
        (EndFrameMode.EXTRA_LATENT, end, beyond),
        (EndFrameMode.SLOT, now[:, -1:], target),
    ):
        told = svi_end_frame_conditioning(
            vae,
            anchor=picture,
            end=last,
            num_frames=frames,
            end_frame_mode=mode,
            previous_latents=before,
        )
        yield _case("svi_end", wanted, told, scene)


def _case(kind: str, target: Tensor, told: Conditioning, scene: Scene) -> Case:
    return Case(kind, target, told.y, scene.prompt)
