"""The table of published networks has exactly the parameters that diffusers gives networks of these sizes."""

from __future__ import annotations

import pytest
from accelerate import init_empty_weights
from diffusers import WanTransformer3DModel

from models.weights_config import transformer_config
from models.weights_networks import NETWORKS, Network


@pytest.mark.parametrize("network", NETWORKS, ids=lambda network: network.id)
def test_shapes_are_those_of_diffusers(network: Network) -> None:
    heads = 32 if network.id == "wan_tiny_i2v" else 128
    config = transformer_config(network.shapes(), heads)
    with init_empty_weights():
        model = WanTransformer3DModel(**config)
    assert {name: tuple(p.shape) for name, p in model.named_parameters()} == network.shapes()
    assert model.config.num_layers == network.layers


def test_ids_are_unique() -> None:
    assert len({network.id for network in NETWORKS}) == len(NETWORKS)
