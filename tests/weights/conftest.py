"""Files of the tiny networks in every spelling that users have."""

from __future__ import annotations

import re

import pytest
import torch
from safetensors.torch import load_file

from tests.tools.constructed import TINY

Tensors = dict[str, torch.Tensor]

_TO_WAN = (
    (r"^condition_embedder\.time_embedder\.linear_1", "time_embedding.0"),
    (r"^condition_embedder\.time_embedder\.linear_2", "time_embedding.2"),
    (r"^condition_embedder\.time_proj", "time_projection.1"),
    (r"^condition_embedder\.text_embedder\.linear_1", "text_embedding.0"),
    (r"^condition_embedder\.text_embedder\.linear_2", "text_embedding.2"),
    (r"^scale_shift_table$", "head.modulation"),
    (r"^proj_out", "head.head"),
    (r"scale_shift_table$", "modulation"),
    (r"norm2", "norm3"),
    (r"attn1", "self_attn"),
    (r"attn2", "cross_attn"),
    (r"\.to_([qkv])\.", r".\1."),
    (r"\.to_out\.0\.", ".o."),
    (r"ffn\.net\.0\.proj", "ffn.0"),
    (r"ffn\.net\.2", "ffn.2"),
)
_TO_WAN_T5 = (
    (r"^shared\.weight$", "token_embedding.weight"),
    (r"^encoder\.final_layer_norm", "norm"),
    (
        r"^encoder\.block\.(\d+)\.layer\.0\.SelfAttention\.relative_attention_bias",
        r"blocks.\1.pos_embedding.embedding",
    ),
    (r"^encoder\.block\.(\d+)\.layer\.0\.SelfAttention", r"blocks.\1.attn"),
    (r"^encoder\.block\.(\d+)\.layer\.0\.layer_norm", r"blocks.\1.norm1"),
    (r"^encoder\.block\.(\d+)\.layer\.1\.layer_norm", r"blocks.\1.norm2"),
    (r"^encoder\.block\.(\d+)\.layer\.1\.DenseReluDense\.wi_0", r"blocks.\1.ffn.gate.0"),
    (r"^encoder\.block\.(\d+)\.layer\.1\.DenseReluDense\.wi_1", r"blocks.\1.ffn.fc1"),
    (r"^encoder\.block\.(\d+)\.layer\.1\.DenseReluDense\.wo", r"blocks.\1.ffn.fc2"),
)


def wan_name(name: str) -> str:
    """A transformer parameter as Wan's own checkpoints spell it, written down independently of the reader."""
    return _spelt(name, _TO_WAN)


def wan_t5_name(name: str) -> str:
    return _spelt(name, _TO_WAN_T5)


def _spelt(name: str, rules: tuple[tuple[str, str], ...]) -> str:
    for pattern, replacement in rules:
        name = re.sub(pattern, replacement, name)
    return name


@pytest.fixture(scope="session")
def transformer_tensors() -> Tensors:
    loaded: Tensors = load_file(TINY / "transformer" / "diffusion_pytorch_model.safetensors")
    return loaded


@pytest.fixture(scope="session")
def text_tensors() -> Tensors:
    loaded: Tensors = load_file(TINY / "text_encoder" / "model.safetensors")
    return loaded
