"""Sizes of a network, read off the shapes of its tensors (names in diffusers' and transformers' spelling)."""

from __future__ import annotations

from collections.abc import Mapping
from math import isqrt, prod
from typing import Any, Final

Shapes = Mapping[str, tuple[int, ...]]

HEAD_DIM: Final = 128
"""Every published Wan transformer has heads of 128; shapes alone cannot tell."""
PATCH: Final = (1, 2, 2)
"""Of every published Wan transformer; some tools store the patch embedding flat."""
CLIP_HEAD_DIM: Final = 80
"""Of the one CLIP that Wan reads, ViT-H: shapes alone cannot tell."""


def transformer_config(shapes: Shapes, head_dim: int = HEAD_DIM) -> dict[str, Any]:
    """Arguments of `WanTransformer3DModel`. Raises `KeyError` with the tensor that is absent."""
    width, in_channels, *patch = shapes["patch_embedding.weight"]
    if len(patch) != len(PATCH):
        patch, in_channels = list(PATCH), prod(shapes["patch_embedding.weight"][1:]) // prod(PATCH)
    volume = prod(patch)
    config: dict[str, Any] = {
        "patch_size": tuple(patch),
        "num_attention_heads": width // head_dim,
        "attention_head_dim": head_dim,
        "in_channels": in_channels,
        "out_channels": shapes["proj_out.weight"][0] // volume,
        "text_dim": shapes["condition_embedder.text_embedder.linear_1.weight"][1],
        "freq_dim": shapes["condition_embedder.time_embedder.linear_1.weight"][1],
        "ffn_dim": shapes["blocks.0.ffn.net.0.proj.weight"][0],
        "num_layers": _count(shapes, "blocks."),
        "cross_attn_norm": "blocks.0.norm2.weight" in shapes,
    }
    if "condition_embedder.image_embedder.norm1.weight" in shapes:
        config["image_dim"] = shapes["condition_embedder.image_embedder.norm1.weight"][0]
    if "blocks.0.attn2.add_k_proj.weight" in shapes:
        config["added_kv_proj_dim"] = shapes["blocks.0.attn2.add_k_proj.weight"][1]
    if "condition_embedder.image_embedder.pos_embed" in shapes:
        config["pos_embed_seq_len"] = shapes["condition_embedder.image_embedder.pos_embed"][1]
    return config


def umt5_config(shapes: Shapes) -> dict[str, Any]:
    """Arguments of `UMT5Config`. Raises `KeyError` with the tensor that is absent."""
    attention = "encoder.block.0.layer.0.SelfAttention"
    buckets, heads = shapes[f"{attention}.relative_attention_bias.weight"]
    return {
        "vocab_size": shapes["shared.weight"][0],
        "d_model": shapes["shared.weight"][1],
        "d_kv": shapes[f"{attention}.q.weight"][0] // heads,
        "d_ff": shapes["encoder.block.0.layer.1.DenseReluDense.wi_0.weight"][0],
        "num_layers": _count(shapes, "encoder.block."),
        "num_heads": heads,
        "relative_attention_num_buckets": buckets,
        "feed_forward_proj": "gated-gelu",
    }


def clip_vision_config(shapes: Shapes) -> dict[str, Any]:
    """Arguments of `CLIPVisionConfig`. Raises `KeyError` with the tensor that is absent."""
    width, _, patch, _ = shapes["embeddings.patch_embedding.weight"]
    places = shapes["embeddings.position_embedding.weight"][0] - 1
    return {
        "hidden_size": width,
        "intermediate_size": shapes["encoder.layers.0.mlp.fc1.weight"][0],
        "num_hidden_layers": _count(shapes, "encoder.layers."),
        "num_attention_heads": max(width // CLIP_HEAD_DIM, 1),
        "image_size": patch * isqrt(places),
        "patch_size": patch,
        "hidden_act": "gelu",
    }


def _count(shapes: Shapes, prefix: str) -> int:
    return 1 + max(int(name[len(prefix) :].split(".")[0]) for name in shapes if name.startswith(prefix))
