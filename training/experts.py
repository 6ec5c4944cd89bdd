"""Train one expert of the tiny model by flow matching on the encoded cases.

python -m training.experts high|low [--out models/tiny] [--work out/training]
"""

from __future__ import annotations

import argparse
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import torch
from diffusers import WanTransformer3DModel
from torch import Tensor

from headless.engine.schedule import TRAIN_STEPS, shifted
from training.loop import Plan, seeded, train
from training.material import Batch, Material
from training.short_text import ShortText
from training.store import save_network

CONFIG: Final = {
    "patch_size": (1, 2, 2),
    "num_attention_heads": 6,
    "attention_head_dim": 32,
    "in_channels": 36,
    "out_channels": 16,
    "text_dim": 64,
    "freq_dim": 64,
    "ffn_dim": 576,
    "num_layers": 6,
    "image_dim": None,
    "added_kv_proj_dim": None,
}
WEIGHTS: Final = {
    "start": 3.0,
    "extra_latent": 2.0,
    "slot": 2.0,
    "in_chunk": 8.0,
    "repeat_4": 8.0,
    "prefix": 3.0,
    "svi": 4.0,
    "svi_end": 2.0,
    "none": 4.0,
}
"""How often a case of a kind is seen. The cheap kinds are in every scene, the others in one of five."""
SHIFT: Final = 3.0
RATE: Final = 0.02
NO_PROMPT: Final = 0.1
TOKENS: Final = 1920


@dataclass(frozen=True)
class Expert:
    """One expert: its folder, the span of noise before the shift, and how it is trained."""

    name: str
    folder: str
    seed: int
    least: float
    most: float
    plan: Plan


HIGH: Final = Expert("high", "transformer", 3, 0.75, 1.0, Plan(2000, RATE, average=0.995, muon=True))
LOW: Final = Expert("low", "transformer_2", 4, 0.0, 0.75, Plan(2600, RATE, average=0.995, muon=True))
"""A shift of 3 makes 0.9 of 0.75: the boundary between the experts."""
EXPERTS: Final = {"high": HIGH, "low": LOW}


def new_expert(expert: Expert) -> WanTransformer3DModel:
    """An untrained expert, always the same; its first velocity is zero."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(expert.seed)
        model = WanTransformer3DModel(**CONFIG)
    torch.nn.init.zeros_(model.proj_out.weight)
    return model


def noise_levels(expert: Expert, count: int, step: int) -> Tensor:
    """Sigmas [count], spread evenly over the expert's span, then shifted."""
    generator = seeded(expert.seed, 1, step)
    spread = (torch.arange(count) + torch.rand(count, generator=generator)) / count
    u = expert.least + (expert.most - expert.least) * spread
    return torch.tensor([shifted(float(value), SHIFT) for value in u])


def velocity(
    model: WanTransformer3DModel, text: ShortText, noisy: Tensor, sigma: Tensor, batch: Batch
) -> Tensor:
    """What the model says of latents [b, 16, T, h, w] at noise levels [b]."""
    text.bias = batch.bias
    result: Tensor = model(
        hidden_states=torch.cat([noisy, batch.y], dim=1),
        timestep=sigma * TRAIN_STEPS,
        encoder_hidden_states=batch.text,
        return_dict=False,
    )[0]
    return result.float()


def flow_loss(
    model: WanTransformer3DModel, text: ShortText, expert: Expert, batch: Batch, step: int
) -> Tensor:
    """Mean squared error of the velocity noise - latents; the network computes in bfloat16."""
    noise = torch.randn(batch.target.shape, generator=seeded(expert.seed, 2, step))
    sigma = noise_levels(expert, len(noise), step)
    mixed = torch.lerp(batch.target, noise, sigma.view(-1, 1, 1, 1, 1))
    with torch.autocast("cpu", torch.bfloat16):
        said = velocity(model, text, mixed, sigma, batch)
    return (said - (noise - batch.target)).square().mean()


def run(expert: Expert, out: Path, work: Path, *, tokens: int = TOKENS, stop_at: int | None = None) -> None:
    """Train, or go on training, and write the expert's folder."""
    material = Material(out, work, WEIGHTS, tokens)
    model = new_expert(expert)
    text = ShortText(model)
    average = train(
        dict(model.named_parameters()),
        lambda step: flow_loss(model, text, expert, material.batch(expert.seed, step, NO_PROMPT), step),
        expert.plan,
        work / f"{expert.folder}.pt",
        stop_at=stop_at,
    )
    model.load_state_dict(average)
    save_network(out / expert.folder, model, CONFIG)


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("expert", choices=sorted(EXPERTS))
    parser.add_argument("--out", type=Path, default=Path("models/tiny"))
    parser.add_argument("--work", type=Path, default=Path("out/training"))
    parser.add_argument("--threads", type=int, default=1)
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    run(EXPERTS[options.expert], options.out, options.work)


if __name__ == "__main__":
    main()
