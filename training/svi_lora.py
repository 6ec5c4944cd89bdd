"""Train the SVI LoRA of one expert: nothing but clips of a chain, told through slightly wrong latents.

    python -m training.svi_lora high|low [--out models/tiny] [--loras models/loras]

In a chain the anchor and the motion latents are what a model made, not what a camera saw. So both are shown
with noise of a random strength, and the clip is still to be the true one: errors are not to be carried on.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Final

import torch

from training.experts import NO_PROMPT, TOKENS, Expert, flow_loss
from training.loop import Plan, seeded, train
from training.lora import TrainedLora, load_expert, save_svi_dialect
from training.lora_command import lora_command
from training.material import Batch, Material
from training.short_text import ShortText

WEIGHTS: Final = {"svi": 4.0, "svi_end": 2.0}
PLAN: Final = Plan(300, 1e-3, warm_up=20, average=0.98)
SEED: Final = 10
WRONG: Final = 0.3
"""Largest standard deviation of what is added to the known and handed-over latents."""
MASK_CHANNELS: Final = 4


def with_errors(batch: Batch, step: int) -> Batch:
    """The batch with noise on the latents of its conditioning, where there are any."""
    generator = seeded(SEED, step)
    told = batch.y[:, MASK_CHANNELS:]
    strength = WRONG * torch.rand(len(told), 1, 1, 1, 1, generator=generator)
    somewhere = told.abs().amax(dim=(1, 3, 4), keepdim=True) > 0
    wrong = told + strength * torch.randn(told.shape, generator=generator) * somewhere
    return replace(batch, y=torch.cat([batch.y[:, :MASK_CHANNELS], wrong], dim=1))


def run(
    expert: Expert,
    out: Path,
    loras: Path,
    work: Path,
    *,
    plan: Plan = PLAN,
    tokens: int = TOKENS,
    stop_at: int | None = None,
) -> None:
    """Train, or go on training, and write one file of the pair."""
    material = Material(out, work, WEIGHTS, tokens)
    lora = TrainedLora(load_expert(out / expert.folder), SEED)
    text = ShortText(lora.model)

    def loss(step: int) -> torch.Tensor:
        batch = with_errors(material.batch(SEED, step, NO_PROMPT), step)
        return flow_loss(lora.model, text, expert, batch, 100_000 + step)

    average = train(lora.parameters, loss, plan, work / f"svi_{expert.name}.pt", stop_at=stop_at)
    name = f"wan_tiny_svi2pro_{expert.name}_noise"
    save_svi_dialect(loras / f"{name}.safetensors", average, name)


if __name__ == "__main__":
    lora_command(__doc__, run)
