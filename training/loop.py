"""The loop of every stage: steps that depend on their number alone, so that it can go on after any end.

Optimiser, weights and their running average are the whole state; what a step sees is drawn from its number.
A run that was killed and started again ends with the same bits as one that was not.
"""

from __future__ import annotations

import math
import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor


@dataclass(frozen=True)
class Plan:
    """How long and how fast. `average`: decay of the running average of the weights."""

    steps: int
    rate: float
    warm_up: int = 50
    average: float = 0.99
    save_every: int = 50
    weight_decay: float = 0.0

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
    optimiser = torch.optim.AdamW(
        list(parameters.values()), lr=plan.rate, betas=(0.9, 0.99), weight_decay=plan.weight_decay, fused=True
    )
    average = {name: tensor.detach().clone() for name, tensor in parameters.items()}
    first = _restore(checkpoint, parameters, optimiser, average)
    last = plan.steps if stop_at is None else min(stop_at, plan.steps)
    began = time.monotonic()
    for step in range(first, last):
        for group in optimiser.param_groups:
            group["lr"] = plan.rate_at(step)
        loss = loss_of(step)
        optimiser.zero_grad(set_to_none=True)
        loss.backward()  # type: ignore[no-untyped-call]  # torch leaves this one untyped
        torch.nn.utils.clip_grad_norm_(list(parameters.values()), 1.0)
        optimiser.step()
        _follow(average, parameters, min(plan.average, (step + 1) / (step + 10)))
        _report(step, last, float(loss.detach()), time.monotonic() - began)
        if (step + 1) % plan.save_every == 0 or step + 1 == last:
            _save(checkpoint, step + 1, parameters, optimiser, average)
    return average


@torch.no_grad()
def _follow(average: Mapping[str, Tensor], parameters: Mapping[str, Tensor], decay: float) -> None:
    for name, tensor in average.items():
        tensor.lerp_(parameters[name], 1 - decay)


def _save(
    path: Path,
    step: int,
    parameters: Mapping[str, Tensor],
    optimiser: torch.optim.Optimizer,
    average: Mapping[str, Tensor],
) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    half_done = path.with_suffix(".part")
    weights = {name: tensor.detach() for name, tensor in parameters.items()}
    state = {"step": step, "weights": weights, "optimiser": optimiser.state_dict(), "average": dict(average)}
    torch.save(state, half_done)
    half_done.replace(path)


@torch.no_grad()
def _restore(
    path: Path,
    parameters: Mapping[str, Tensor],
    optimiser: torch.optim.Optimizer,
    average: Mapping[str, Tensor],
) -> int:
    if not path.exists():
        return 0
    state = torch.load(path, weights_only=True)
    for name, tensor in parameters.items():
        tensor.copy_(state["weights"][name])
        average[name].copy_(state["average"][name])
    optimiser.load_state_dict(state["optimiser"])
    return int(state["step"])


def _report(step: int, last: int, loss: float, seconds: float) -> None:
    if (step + 1) % 10 == 0 or step + 1 == last:
        sys.stderr.write(f"step {step + 1} of {last}, loss {loss:.4f}, {seconds:.0f} s\n")
        sys.stderr.flush()
