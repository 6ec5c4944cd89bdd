"""Clips that a small model makes of held-out scenes of the synthetic world."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

import numpy as np

from headless.engine.wan import WanEngine
from headless.job_listener import SilentListener
from headless.planning.seeds import segment_seed
from headless.quality.fidelity import psnr
from headless.segment import Clip, LoraUse, Picture, SegmentRequest
from models.registry import load_models_def
from training.world import Scene, draw, make_scene

ROOT: Final = Path(__file__).resolve().parents[2]
HELD_OUT: Final = 1_000_000_000
"""The first seed of scenes that no training has seen."""
FRAMES: Final = 17
BASE: Final = "wan_tiny_i2v"
SVI: Final = "wan_tiny_i2v_svi2pro"
CHANGED: Final = 24
HANDS_OVER: Final = ("latents", "bare", "renewed")
"""Ways of continuing that hand latents over: with the SVI LoRAs, without, with the last frame for anchor."""


@dataclass(frozen=True)
class Shot:
    """A generated clip. `end`: what stands for its end image. `new`: frames that continue another clip."""

    frames: Clip
    end: Picture
    new: int


def held_out(number: int) -> Scene:
    """Scene `number` of those that are never trained on."""
    return make_scene(HELD_OUT + number)


def pictures(scene: Scene, first: int, count: int) -> Clip:
    """The true frames of a scene, uint8 [count, H, W, 3]."""
    pixels = (draw(scene, first, count) + 1) * 127.5
    return np.asarray(pixels.round().permute(1, 2, 3, 0)).astype(np.uint8)


class Studio:
    """An engine on the CPU with the small model of a folder: `tiny/` and, where there are any, `loras/`."""

    def __init__(self, folder: Path = ROOT / "models") -> None:
        self.engine = WanEngine(load_models_def(ROOT / "configs"), [folder], device="cpu")
        self._loras = folder / "loras"

    def lora_pair(self, name: str) -> tuple[LoraUse, ...]:
        """Both files of a pair, each for its own expert; none where the folder does not have them."""
        strengths = {"high": ((1.0,), (0.0,)), "low": ((0.0,), (1.0,))}
        files = {self._loras / f"{name}_{noise}_noise.safetensors": noise for noise in strengths}
        return tuple(
            LoraUse(file.name, file, strengths[noise]) for file, noise in files.items() if file.is_file()
        )

    def request(self, scene: Scene, seed: int, **changes: object) -> SegmentRequest:
        """A clip of 17 frames in 8 steps without pictures; `changes` are fields of the request."""
        plain = SegmentRequest(
            model=BASE,
            prompt=scene.prompt,
            negative_prompt="",
            width=scene.width,
            height=scene.height,
            num_frames=FRAMES,
            steps=8,
            guidance_scale=1.0,
            guidance_scale_2=1.0,
            flow_shift=5.0,
            seed=seed,
            end_frame_mode="extra_latent",
            motion_latent_count=1,
            svi_pad_empty_frames_with_anchor=False,
        )
        return replace(plain, **changes)  # type: ignore[arg-type]  # replace() checks the names at run time

    def shoot(self, request: SegmentRequest, handoff: Path | None = None) -> Shot:
        """Make the clip; `handoff` gets the latents for the next one."""
        generation = self.engine.generate(request, SilentListener())
        frames = np.stack(list(generation.frames))
        if handoff is not None and generation.save_handoff is not None:
            generation.save_handoff(handoff)
        end = generation.end_frame()
        return Shot(frames, frames[-1] if end is None else end, generation.new_frames)


class Chain:
    """Clips that continue each other in one way. `folder` is for the latents that are handed over."""

    def __init__(self, studio: Studio, scene: Scene, seed: int, method: str, folder: Path) -> None:
        self._studio, self._scene, self._seed, self._method = studio, scene, seed, method
        self._latents = folder / "handed_over.safetensors"
        self._start = pictures(scene, 0, 1)[0]
        self._count = 0
        self.frames: Clip = np.zeros((0, scene.height, scene.width, 3), np.uint8)

    def go_on(self) -> int:
        """Add a clip; returns how many new frames it has."""
        shot = self._studio.shoot(self._request(), self._latents if self._method in HANDS_OVER else None)
        self.frames = np.concatenate([self.frames, shot.frames[len(shot.frames) - shot.new :]])
        self._count += 1
        return shot.new

    def _request(self) -> SegmentRequest:
        ask = self._studio.request
        seed = segment_seed(self._seed, self._count)
        if self._method in HANDS_OVER:
            loras = () if self._method == "bare" else self._studio.lora_pair("wan_tiny_svi2pro")
            told: dict[str, object] = {"model": SVI, "loras": loras, "start_image": self._start}
            if self._count:
                told["previous_latents"] = self._latents
                if self._method == "renewed":
                    told["start_image"] = self.frames[-1]
            return ask(self._scene, seed, **told)
        if not self._count:
            return ask(self._scene, seed, start_image=self._start)
        if self._method == "pixels":
            return ask(self._scene, seed, prefix=self.frames)
        return ask(self._scene, seed, start_image=self.frames[-1], start_is_last_frame=True)


def changed_psnr(frame: Picture, end: Picture, start: Picture) -> float:
    """PSNR against the end image, in dB, only where it differs from the start image by over 24 levels.

    The background is alike in both, so that the whole picture says little about whether the shape arrived.
    """
    changed = np.abs(end.astype(np.int16) - start).max(axis=2) > CHANGED
    if not changed.any():
        return psnr(frame, end)
    return psnr(frame[changed][None], end[changed][None])
