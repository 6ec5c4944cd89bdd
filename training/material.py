"""The encoded cases and prompts, as batches that follow from a step's number."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass
from math import prod
from pathlib import Path

import torch
from torch import Tensor

from headless.engine.text import cleaned, load_tokenizer
from models.weights import load_text_encoder
from training.loop import seeded
from training.short_text import padded


@dataclass(frozen=True)
class Batch:
    """Latents and conditioning of one shape, prompts as `short_text.padded` gives them."""

    target: Tensor
    y: Tensor
    text: Tensor
    bias: Tensor


@dataclass(frozen=True)
class _Shape:
    target: Tensor
    y: Tensor
    prompts: Tensor
    weights: Tensor


class Material:
    """Every case whose kind has a weight. `tokens` of latents go into one batch."""

    def __init__(self, out: Path, work: Path, weights: Mapping[str, float], tokens: int) -> None:
        groups = [group for file in sorted((work / "latents").glob("*.pt")) for group in torch.load(file)]
        groups = [group for group in groups if weights.get(group["kind"], 0)]
        if not groups:
            raise FileNotFoundError(f"{work / 'latents'} has no cases; run training.latents first")
        names = sorted({prompt for group in groups for prompt in group["prompts"]})
        self._states = encoded_prompts(out, ["", *names])
        numbers = {name: number for number, name in enumerate(names, start=1)}
        by_shape = defaultdict(list)
        for group in groups:
            by_shape[tuple(group["y"].shape[1:])].append(group)
        self._shapes = [
            _Shape(
                target=torch.cat([group["target"] for group in members]),
                y=torch.cat([group["y"] for group in members]),
                prompts=torch.tensor([numbers[p] for group in members for p in group["prompts"]]),
                weights=torch.tensor([weights[g["kind"]] for g in members for _ in g["prompts"]]),
            )
            for _, members in sorted(by_shape.items())
        ]
        self._shares = torch.stack([shape.weights.sum() for shape in self._shapes])
        self._tokens = tokens

    def batch(self, seed: int, step: int, no_prompt: float = 0.0) -> Batch:
        """The batch of a step; a share `no_prompt` of its cases has an empty prompt."""
        generator = seeded(seed, step)
        shape = self._shapes[int(torch.multinomial(self._shares, 1, generator=generator))]
        count = max(2, round(self._tokens / (prod(shape.y.shape[2:]) / 4)))
        chosen = torch.multinomial(shape.weights, count, replacement=True, generator=generator)
        prompts = shape.prompts[chosen]
        prompts = torch.where(torch.rand(count, generator=generator) < no_prompt, 0, prompts)
        text, bias = padded([self._states[number] for number in prompts.tolist()])
        return Batch(shape.target[chosen].float(), shape.y[chosen].float(), text, bias)


@torch.no_grad()
def encoded_prompts(out: Path, prompts: list[str]) -> list[Tensor]:
    """The states [n, d] of every prompt, without the padding."""
    tokenizer = load_tokenizer(out / "tokenizer")
    encoder = load_text_encoder(out / "text_encoder", dtype=torch.float32, device=torch.device("cpu"))
    states = []
    for prompt in prompts:
        tokens = torch.tensor([tokenizer.encode(cleaned(prompt)).ids])
        states.append(encoder(tokens, torch.ones_like(tokens)).last_hidden_state[0])
    return states
