"""Train the 4-step LoRA of one expert: one step of the student goes where several of the teacher go.

    python -m training.lightning_lora high|low [--out models/tiny] [--loras models/loras]

The four steps are those of `euler` with a flow shift of 5: 1000, 937.5, 833, 625. From a noisy clip at one of
them the teacher, the expert without the LoRA, takes `TEACHER_STEPS` equal steps to the next; the student
learns the one velocity that leads there. Two steps of the high expert's teacher lie below the noise that it
was trained at. (Progressive distillation, Salimans and Ho 2022.)
"""

from __future__ import annotations

from pathlib import Path
from typing import Final

import torch
from torch import Tensor

from headless.engine.schedule import make_schedule
from training.experts import TOKENS, WEIGHTS, Expert, velocity
from training.loop import Plan, seeded, train
from training.lora import TrainedLora, load_expert, save_lightx2v_dialect
from training.lora_command import lora_command
from training.material import Batch, Material
from training.short_text import ShortText

PLAN: Final = Plan(250, 1e-3, warm_up=20, average=0.98)
SEED: Final = 20
SIGMAS: Final = make_schedule("euler", 4, 5.0).sigmas
SPANS: Final = {"high": (0, 1), "low": (2, 3)}
"""Which of the four steps an expert takes."""
TEACHER_STEPS: Final = 4


def distillation_loss(lora: TrainedLora, text: ShortText, expert: Expert, batch: Batch, step: int) -> Tensor:
    """Mean squared error between the student's velocity and the teacher's average one."""
    generator = seeded(SEED, 1, step)
    noise = torch.randn(batch.target.shape, generator=generator)
    span = SPANS[expert.name][step % 2]
    begin, end = SIGMAS[span], SIGMAS[span + 1]
    noisy = torch.lerp(batch.target, noise, begin)
    wanted = (noisy - _taught(lora, text, batch, noisy, begin, end)) / (begin - end)
    said = velocity(lora.model, text, noisy, torch.full((len(noisy),), begin), batch)
    return (said - wanted).square().mean()


@torch.no_grad()
def _taught(
    lora: TrainedLora, text: ShortText, batch: Batch, noisy: Tensor, begin: float, end: float
) -> Tensor:
    """Where the teacher goes from sigma `begin` to `end`."""
    lora.on = False
    stride = (begin - end) / TEACHER_STEPS
    for index in range(TEACHER_STEPS):
        sigma = torch.full((len(noisy),), begin - index * stride)
        noisy = noisy - stride * velocity(lora.model, text, noisy, sigma, batch)
    lora.on = True
    return noisy


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

    def loss(step: int) -> Tensor:
        with torch.autocast("cpu", torch.bfloat16):
            return distillation_loss(lora, text, expert, material.batch(SEED, step), step)

    average = train(
        lora.parameters,
        loss,
        plan,
        work / f"lightning_{expert.name}.pt",
        stop_at=stop_at,
    )
    name = f"wan_tiny_lightning_4steps_{expert.name}_noise"
    save_lightx2v_dialect(loras / f"{name}.safetensors", average, name)


if __name__ == "__main__":
    lora_command(__doc__, run)
