"""The sampling loop: noise in, latents out."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import TypeAlias

import torch
from diffusers import WanTransformer3DModel
from torch import Tensor

from headless.engine.phases import Step
from headless.engine.schedule import Schedule, make_solver


@dataclass(frozen=True)
class Prompts:
    """Embeddings [1, 512, d]. `negative` is absent where no step is guided.

    `images` [n, 257, d]: CLIP's tokens of the n pictures that a Wan 2.1 model reads, guided or not.
    """

    positive: Tensor
    negative: Tensor | None = None
    images: Tensor | None = None


@dataclass(frozen=True)
class Known:
    """Latents that are known and not sampled: `latents` [16, T, h, w] where `where` [1, T, h, w] is true."""

    latents: Tensor
    where: Tensor

    def put(self, latents: Tensor, noise: Tensor, sigma: float) -> Tensor:
        """`latents`, the known ones in their place and as noisy as they: (1 - sigma) z + sigma noise."""
        return torch.where(self.where, (1 - sigma) * self.latents + sigma * noise, latents)


OnStep: TypeAlias = Callable[[int, Callable[[], Tensor]], None]


def seeded_noise(generator: torch.Generator, latents: int, height: int, width: int) -> Tensor:
    """Standard normal noise, float32 [16, latents, height, width], drawn on the CPU: the same everywhere."""
    return torch.randn(16, latents, height, width, generator=generator, dtype=torch.float32)


def sample(
    *,
    noise: Tensor,
    y: Tensor | None,
    prompts: Prompts,
    schedule: Schedule,
    steps: Sequence[Step],
    expert_for: Callable[[Step], WanTransformer3DModel],
    on_step: OnStep,
    known: Known | None = None,
) -> Tensor:
    """Denoise. Float32 [16, T, h, w] in and out, on the device of `noise`.

    `y` is the conditioning [20, T, h, w] that stands beside the noise, or None for a model that reads none.
    `expert_for` gives the transformer of a step, ready to run. `on_step(number, estimate)` hears of every
    finished step, counted from 1, and may raise to stop; `estimate()` is what the clip would be if the step's
    velocity held to the end. `known` latents are put back after every step and come out as they are.

    Raises `ValueError` where a step is guided and there is no negative prompt.
    """
    if prompts.negative is None and any(step.guidance != 1 for step in steps):
        raise ValueError("guidance other than 1 needs a negative prompt's embedding")
    latents = noise.unsqueeze(0)
    times = torch.tensor(schedule.timesteps, dtype=torch.float32, device=noise.device)
    solver = make_solver(schedule)
    for index, step in enumerate(steps):
        velocity = _velocity(expert_for(step), latents, y, times[index : index + 1], prompts, step.guidance)
        before, latents = latents, solver.advance(velocity, index, latents)
        if known is not None:
            latents = known.put(latents, noise, schedule.sigmas[index + 1])
        on_step(index + 1, partial(_estimate, before[0], velocity[0], schedule.sigmas[index]))
    return latents[0]


def _estimate(latents: Tensor, velocity: Tensor, sigma: float) -> Tensor:
    return latents - sigma * velocity


def _velocity(
    expert: WanTransformer3DModel,
    latents: Tensor,
    y: Tensor | None,
    time: Tensor,
    prompts: Prompts,
    guidance: float,
) -> Tensor:
    dtype = expert.patch_embedding.weight.dtype
    seen = latents if y is None else torch.cat([latents, y.unsqueeze(0)], dim=1)
    seen = seen.to(dtype)
    images = None if prompts.images is None else prompts.images.to(dtype)
    with_prompt = _forward(expert, seen, time, prompts.positive.to(dtype), images)
    if guidance == 1 or prompts.negative is None:
        return with_prompt
    without = _forward(expert, seen, time, prompts.negative.to(dtype), images)
    return without + guidance * (with_prompt - without)


def _forward(
    expert: WanTransformer3DModel, seen: Tensor, time: Tensor, prompt: Tensor, images: Tensor | None
) -> Tensor:
    velocity: Tensor = expert(
        hidden_states=seen,
        timestep=time,
        encoder_hidden_states=prompt,
        encoder_hidden_states_image=images,
        return_dict=False,
    )[0]
    return velocity
