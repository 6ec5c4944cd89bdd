"""Train the tiny VAE: single frames first, then clips of full length; parts of pictures, then whole ones.

python -m training.vae [--out models/tiny] [--work out/training]
"""

from __future__ import annotations

import argparse
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import torch
from diffusers import AutoencoderKLWan
from torch import Tensor

from training.loop import Plan, seeded, train
from training.store import save_network
from training.vae_clip import ClipVae, NormSilu, compiled_norm_silu, norm_silu
from training.world import SIZES, draw, make_scene

CONFIG: Final = {"base_dim": 16, "z_dim": 16, "dim_mult": [1, 2, 4, 4], "num_res_blocks": 1}
SEED: Final = 1
NOISE: Final = 0.3
"""Standard deviation, at the end, of what is added to latents, whose own is some seven times that."""
SIZE_WEIGHT: Final = 1e-3
EDGE_WEIGHT: Final = 0.5
SALIENT_FROM: Final = 0.35
"""More than a background varies, of a range of 2."""
SALIENCE: Final = 6.0
"""How much more an error counts, at first, where a picture is not of its usual colour: on the shape."""
GAPS: Final = 8
"""In one step of so many, one clip, 64x64, has only its first and last frame; between is grey."""


@dataclass(frozen=True)
class Stage:
    """`steps` of `batch` clips; `crop` is the side of a square part, or None for whole pictures."""

    steps: int
    batch: int
    frames: tuple[int, ...]
    crop: int | None


STAGES: Final = (
    Stage(steps=300, batch=64, frames=(1,), crop=32),
    Stage(steps=2500, batch=8, frames=(17,), crop=32),
    Stage(steps=2700, batch=2, frames=(17, 17, 33), crop=None),
)
RATE: Final = 0.03


def new_vae() -> AutoencoderKLWan:
    """An untrained VAE, always the same. Its convolutions keep the variance.

    With torch's own initial values, a third of that per layer, it learned nothing but the mean colour in 500
    steps; with these the error was a third after 200.
    """
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(SEED)
        vae = AutoencoderKLWan(**CONFIG)
        for module in vae.modules():
            if isinstance(module, (torch.nn.Conv2d, torch.nn.Conv3d)):
                torch.nn.init.normal_(module.weight, std=module.weight[0].numel() ** -0.5)
                torch.nn.init.zeros_(module.get_parameter("bias"))
        return vae


def batch_of(stages: tuple[Stage, ...], step: int) -> Tensor:
    """The clips of a step, [b, 3, t, H, W]."""
    before = 0
    for stage in stages:
        if step < before + stage.steps:
            break
        before += stage.steps
    frames = stage.frames[step % len(stage.frames)]
    height, width = SIZES[step // 2 % len(SIZES)]
    count = max(1, stage.batch * min(stage.frames) // frames)
    clips = [_clip(step * 64 + i, frames, height, width, stage.crop) for i in range(count)]
    if frames > 1 and step % GAPS == 0:
        clips[0][:, 1:-1] = 0.0
    return torch.stack(clips)


def _clip(seed: int, frames: int, height: int, width: int, crop: int | None) -> Tensor:
    first = seed % 23
    clip = draw(make_scene(seed, height, width), first, frames)
    if crop is None:
        return clip
    generator = torch.Generator().manual_seed(seed)
    top = int(torch.randint(height - crop + 1, (), generator=generator))
    left = int(torch.randint(width - crop + 1, (), generator=generator))
    return clip[:, :, top : top + crop, left : left + crop]


def salient(clips: Tensor) -> Tensor:
    """[b, 1, t, H, W], 1 where a pixel is far from the median colour of its frame, else 0."""
    usual = clips.flatten(3).median(dim=3).values[..., None, None]
    return ((clips - usual).abs().amax(dim=1, keepdim=True) > SALIENT_FROM).to(clips.dtype)


def loss_of(vae: ClipVae, clips: Tensor, step: int, done: float, half: bool) -> Tensor:
    """Absolute and squared error of pixels, absolute error of edges, and a little of the latents' size.

    The product never samples the posterior, so its variance is not trained; noise that grows as training gets
    `done` keeps near latents near in pixels. With `half` the networks compute in bfloat16.
    """
    with torch.autocast("cpu", torch.bfloat16, enabled=half):
        mean, _ = vae.encode(clips)
        noise = torch.randn(mean.shape, generator=seeded(SEED, step))
        made = vae.decode(mean + NOISE * done * noise)
    wrong = (made.float() - clips) * (1 + SALIENCE * (1 - done) * salient(clips))
    steps = [wrong.diff(dim=dim).abs().mean() for dim in (2, 3, 4) if wrong.shape[dim] > 1]
    edges = EDGE_WEIGHT * torch.stack(steps).sum()
    return wrong.abs().mean() + 2 * wrong.square().mean() + edges + SIZE_WEIGHT * mean.float().square().mean()


@torch.no_grad()
def statistics(vae: ClipVae, clips: int) -> dict[str, list[float]]:
    """Mean and standard deviation of every latent channel over the world."""
    latents = []
    for seed in range(clips):
        height, width = SIZES[seed % len(SIZES)]
        mean, _ = vae.encode(draw(make_scene(seed, height, width), 0, 17)[None])
        latents.append(mean[0].flatten(1))
    every = torch.cat(latents, dim=1)
    return {"latents_mean": every.mean(1).tolist(), "latents_std": every.std(1).tolist()}


def run(
    out: Path,
    work: Path,
    stages: tuple[Stage, ...] = STAGES,
    *,
    fused: NormSilu = norm_silu,
    half: bool = False,
    clips: int = 64,
    stop_at: int | None = None,
) -> None:
    """Train, or go on training, and write `out`/vae with the statistics of so many clips.

    `stop_at` ends early, as a kill would, and writes nothing.
    """
    vae = new_vae()
    clip_vae = ClipVae(vae, fused)
    length = sum(stage.steps for stage in stages)

    def loss(step: int) -> Tensor:
        clips = batch_of(stages, step)
        return loss_of(clip_vae, clips, step, step / length, half)

    plan = Plan(length, RATE, average=0.995, muon=True)
    average = train(dict(vae.named_parameters()), loss, plan, work / "vae.pt", stop_at=stop_at)
    if stop_at is not None:
        return
    vae.load_state_dict(average, strict=False)
    vae.half().float()
    save_network(out / "vae", vae, {**CONFIG, **statistics(ClipVae(vae), clips)})


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, default=Path("models/tiny"))
    parser.add_argument("--work", type=Path, default=Path("out/training"))
    parser.add_argument("--threads", type=int, default=2)
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    run(options.out, options.work, fused=compiled_norm_silu(), half=True)


if __name__ == "__main__":
    main()
