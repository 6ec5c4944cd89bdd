"""The loop of every stage: steps that depend on their number alone, so that it can go on after any end.

Optimiser, weights and their running average are the whole state; what a step sees is drawn from its number.
A run that was killed and started again ends with the same bits as one that was not.
"""

from __future__ import annotations

import math
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import torch
from torch import Tensor

from training.muon import Muon

SMALL_RATE: Final = 0.1
"""Learning rate of AdamW for biases and gains beside Muon's for weights."""


@dataclass(frozen=True)
class Plan:
    """How long and how fast. `average`: decay of the running average of the weights."""

    steps: int
    rate: float
    warm_up: int = 50
    average: float = 0.99
    save_every: int = 50
    muon: bool = False
    """Weights by Muon with this rate, the rest by AdamW with a tenth of it; else all by AdamW."""

    def rate_at(self, step: int) -> float:
        """Learning rate of a step counted from 0: a linear warm-up, then half a cosine down to a fiftieth."""
        if step < self.warm_up:
            return self.rate * (step + 1) / self.warm_up
        done = (step - self.warm_up) / max(self.steps - self.warm_up, 1)
        return self.rate * (0.02 + 0.98 * 0.5 * (1 + math.cos(math.pi * done)))


def seeded(*numbers: int) -> torch.Generator:
    """A generator of its own for every tuple of numbers, each below 2^20."""
    seed = 0
    for number in numbers:
        seed = seed * 1048576 + number
    return torch.Generator().manual_seed(seed % (2**63))


def train(
    parameters: Mapping[str, Tensor],
    loss_of: Callable[[int], Tensor],
    plan: Plan,
    checkpoint: Path,
    *,
    stop_at: int | None = None,
) -> dict[str, Tensor]:
    """Train in place; returns the running average of every parameter. Goes on from `checkpoint` if it exists.

    `stop_at` ends early, as a kill would, but with a checkpoint.
    """
    optimisers = _optimisers(parameters, plan)
    average = {name: tensor.detach().clone() for name, tensor in parameters.items()}
    first = _restore(checkpoint, parameters, optimisers, average)
    last = plan.steps if stop_at is None else min(stop_at, plan.steps)
    began = time.monotonic()
    for step in range(first, last):
        loss = loss_of(step)
        for tensor in parameters.values():
            tensor.grad = None
        loss.backward()  # type: ignore[no-untyped-call]  # torch leaves this one untyped
        torch.nn.utils.clip_grad_norm_(list(parameters.values()), 1.0)
        for optimiser in optimisers:
            for group in optimiser.param_groups:
                group["lr"] = group["whole"] * plan.rate_at(step) / plan.rate
            optimiser.step()
        _follow(average, parameters, min(plan.average, (step + 1) / (step + 10)))
        _report(step, last, float(loss.detach()), time.monotonic() - began)
        if (step + 1) % plan.save_every == 0 or step + 1 == last:
            _save(checkpoint, step + 1, parameters, optimisers, average)
    return average


def _optimisers(parameters: Mapping[str, Tensor], plan: Plan) -> list[torch.optim.Optimizer]:
    """Their groups keep the whole learning rate as `whole`."""
    matrices = [tensor for tensor in parameters.values() if plan.muon and _is_matrix(tensor)]
    known = {id(tensor) for tensor in matrices}
    rest = [tensor for tensor in parameters.values() if id(tensor) not in known]
    small = plan.rate * (SMALL_RATE if plan.muon else 1.0)
    found: list[torch.optim.Optimizer] = []
    if rest:
        found.append(torch.optim.AdamW(rest, lr=small, betas=(0.9, 0.99), weight_decay=0.0, fused=True))
    if matrices:
        found.append(Muon(matrices, plan.rate))
    for optimiser in found:
        for group in optimiser.param_groups:
            group["whole"] = group["lr"]
    return found


def _is_matrix(tensor: Tensor) -> bool:
    return tensor.dim() > 1 and min(tensor.flatten(1).shape) > 1


@torch.no_grad()
def _follow(average: Mapping[str, Tensor], parameters: Mapping[str, Tensor], decay: float) -> None:
    for name, tensor in average.items():
        tensor.lerp_(parameters[name], 1 - decay)


def _save(
    path: Path,
    step: int,
    parameters: Mapping[str, Tensor],
    optimisers: Sequence[torch.optim.Optimizer],
    average: Mapping[str, Tensor],
) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    half_done = path.with_suffix(".part")
    weights = {name: tensor.detach() for name, tensor in parameters.items()}
    states = [optimiser.state_dict() for optimiser in optimisers]
    state = {"step": step, "weights": weights, "optimisers": states, "average": dict(average)}
    torch.save(state, half_done)
    half_done.replace(path)


@torch.no_grad()
def _restore(
    path: Path,
    parameters: Mapping[str, Tensor],
    optimisers: Sequence[torch.optim.Optimizer],
    average: Mapping[str, Tensor],
) -> int:
    if not path.exists():
        return 0
    state = torch.load(path, weights_only=True)
    for name, tensor in parameters.items():
        tensor.copy_(state["weights"][name])
        average[name].copy_(state["average"][name])
    for optimiser, of_optimiser in zip(optimisers, state["optimisers"], strict=True):
        optimiser.load_state_dict(of_optimiser)
    return int(state["step"])


def _report(step: int, last: int, loss: float, seconds: float) -> None:
    if (step + 1) % 10 == 0 or step + 1 == last:
        sys.stderr.write(f"step {step + 1} of {last}, loss {loss:.4f}, {seconds:.0f} s\n")
        sys.stderr.flush()
