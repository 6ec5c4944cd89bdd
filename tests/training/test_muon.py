"""Muon's updates are orthogonal, and go down."""

from __future__ import annotations

import pytest
import torch

from training.muon import Muon, orthogonal


@pytest.mark.parametrize("shape", [(24, 24), (16, 60), (60, 16)])
def test_every_singular_value_comes_near_one(shape: tuple[int, int]) -> None:
    generator = torch.Generator().manual_seed(1)
    matrices = torch.randn(3, *shape, generator=generator) * torch.tensor([1e-4, 1.0, 1e3]).view(3, 1, 1)
    found = torch.linalg.svdvals(orthogonal(matrices))
    assert 0.5 < float(found.min()) < float(found.max()) < 1.3


def test_directions_stay() -> None:
    """What has orthogonal rows already is only scaled."""
    matrix = torch.tensor([[[0.0, 3.0, 0.0], [-3.0, 0.0, 0.0]]])
    found = orthogonal(matrix)
    assert torch.allclose(found / found.abs().amax(), matrix / 3, atol=0.02)


def test_a_weight_moves_by_the_rate_however_small_its_gradient_is() -> None:
    weight = torch.zeros(8, 2, 2, requires_grad=True)
    weight.grad = torch.randn(8, 2, 2, generator=torch.Generator().manual_seed(2)) * 1e-6
    Muon([weight], lr=0.1).step()
    moved = torch.linalg.svdvals(weight.detach().flatten(1))
    assert 0.5 < float(moved.min()) / (0.1 * 2**0.5) < float(moved.max()) / (0.1 * 2**0.5) < 1.3


def test_it_solves_a_least_squares_problem_and_leaves_what_has_no_gradient() -> None:
    generator = torch.Generator().manual_seed(3)
    inputs, wanted = torch.randn(64, 6, generator=generator), torch.randn(4, 6, generator=generator)
    weight = torch.zeros(4, 6, requires_grad=True)
    aside = torch.ones(4, 6, requires_grad=True)
    optimiser = Muon([weight, aside], lr=0.1)
    for step in range(200):
        loss = (inputs @ (weight - wanted).T).square().mean()
        weight.grad = torch.autograd.grad(loss, weight)[0]
        optimiser.param_groups[0]["lr"] = 0.1 * (1 - step / 200)
        optimiser.step()
    assert float((weight.detach() - wanted).abs().max()) < 0.02
    assert torch.equal(aside, torch.ones(4, 6))
