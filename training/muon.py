"""Muon: momentum whose every matrix is made orthogonal before it is applied.

Jordan et al., "Muon: An optimizer for hidden layers in neural networks", 2024: the update of a weight
[out, in, ...] is U V^T of its momentum G = U S V^T, by five steps of a Newton-Schulz iteration of degree 5.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from typing import Final

import torch
from torch import Tensor

COEFFICIENTS: Final = (3.4445, -4.7750, 2.0315)
"""Of the iteration X -> a X + b (X X^T) X + c (X X^T)^2 X, which drives every singular value to about 1."""
ROUNDS: Final = 5


def orthogonal(matrices: Tensor) -> Tensor:
    """The matrices [n, rows, columns] with singular values of 0.7 to 1.2 or so; computes in bfloat16."""
    a, b, c = COEFFICIENTS
    tall = matrices.shape[-2] > matrices.shape[-1]
    x = (matrices.mT if tall else matrices).bfloat16()
    x = x / (x.norm(dim=(-2, -1), keepdim=True) + 1e-7)
    for _ in range(ROUNDS):
        gram = x @ x.mT
        x = a * x + (b * gram + c * gram @ gram) @ x
    found: Tensor = (x.mT if tall else x).float()
    return found


class Muon(torch.optim.Optimizer):
    """For weights of two and more dimensions; the rest belongs to AdamW.

    A weight [out, in] moves by `lr` * sqrt(max(1, out / in)) * U V^T per step, with Nesterov's momentum.
    What has no gradient stays.
    """

    def __init__(self, parameters: Iterable[Tensor], lr: float, momentum: float = 0.95) -> None:
        super().__init__(list(parameters), {"lr": lr, "momentum": momentum})

    @torch.no_grad()
    def step(self, _: object = None) -> None:  # type: ignore[override]  # no closure is ever evaluated
        """One update. Weights of one shape go together, which is faster."""
        for group in self.param_groups:
            alike: dict[tuple[int, int], list[tuple[Tensor, Tensor]]] = defaultdict(list)
            for weight in group["params"]:
                if weight.grad is not None:
                    ahead = self._ahead(weight, weight.grad, group["momentum"])
                    alike[ahead.shape[0], ahead.shape[1]].append((weight, ahead))
            for (rows, columns), moved in alike.items():
                rate = group["lr"] * max(1.0, rows / columns) ** 0.5
                updates = orthogonal(torch.stack([ahead for _, ahead in moved]))
                for (weight, _), update in zip(moved, updates, strict=True):
                    weight.sub_(update.view_as(weight), alpha=rate)

    def _ahead(self, weight: Tensor, gradient: Tensor, momentum: float) -> Tensor:
        """The momentum with this gradient, and once more towards it: [out, in]."""
        state = self.state[weight]
        if not state:
            state["momentum"] = torch.zeros_like(weight)
        state["momentum"].lerp_(gradient, 1 - momentum)
        return torch.lerp(gradient, state["momentum"], momentum).flatten(1)
