"""Weights of the tiny transformers: Wan 2.2 A14B's architecture, constructed instead of trained.

Self-attention looks for the known frame nearest in time at the same place, and the velocity leads from the
noise to what it found: the clip fades from the start image to the end image. Everything else is seeded noise
that prompt, LoRAs and solver visibly disturb. The two experts differ in it and in how far a step goes.
"""

from __future__ import annotations

import math

import numpy as np
import torch
from diffusers import WanTransformer3DModel

from scripts.tiny_random import fill_uniform

HEADS, HEAD_DIM = 5, 32
WIDTH = HEADS * HEAD_DIM
TEXT_DIM = 32
CONFIG = {
    "patch_size": (1, 2, 2),
    "num_attention_heads": HEADS,
    "attention_head_dim": HEAD_DIM,
    "in_channels": 36,
    "out_channels": 16,
    "text_dim": TEXT_DIM,
    "freq_dim": 32,
    "ffn_dim": 192,
    "num_layers": 2,
    "image_dim": None,
    "added_kv_proj_dim": None,
}
NOISE_AT, KNOWN_AT, MASK_AT, ANCHOR_AT = 0, 64, 128, 129
"""Where a token holds its noisy latents (16 x 2 x 2), its known latents, its mask and the constants."""
ANCHOR = 8.0
"""The constants +ANCHOR and -ANCHOR keep each LayerNorm nearly linear."""
ANCHORS = 8
EMPTY_AT = ANCHOR_AT + 2 * ANCHORS
"""A place that holds nothing. After a LayerNorm it shows the mean that was taken off everywhere."""
SAME_PLACE, NEAR_IN_TIME, IS_KNOWN = 36.0, 20.0, 14.0
"""How much the attention logits gain at the same place, at the same time, and where the mask says known."""
DISTURBANCE = 0.05


def build_transformer(rng: np.random.Generator, step: float) -> WanTransformer3DModel:
    """One expert in float32; `step` is the share of the way to the target that its velocity covers."""
    model = WanTransformer3DModel(**CONFIG).eval().requires_grad_(False)
    _noise_everywhere(model, rng)
    _embed_patches(model)
    _find_known_frames(Attention(model.blocks[0].attn1))
    _read_velocity(model, step)
    return model


def _noise_everywhere(model: WanTransformer3DModel, rng: np.random.Generator) -> None:
    for name, parameter in model.named_parameters():
        if parameter.ndim == 1 and "norm" in name and name.endswith("weight"):
            parameter.fill_(1.0)
        elif name.endswith("bias"):
            parameter.zero_()
        elif "scale_shift_table" in name:
            fill_uniform(parameter, rng, 0.02)
            parameter[:, 2::3] = 1.0 if parameter.shape[1] == 6 else 0.0
        else:
            fill_uniform(parameter, rng, _size(name) / math.sqrt(math.prod(parameter.shape[1:])))


def _size(name: str) -> float:
    if name.endswith(("to_out.0.weight", "net.2.weight")):
        return DISTURBANCE
    return 0.03 if "time_embedder.linear_2" in name else 1.0


def _embed_patches(model: WanTransformer3DModel) -> None:
    """Patch embedding that only sorts: noise, conditioning latents, mask sub-frame 3, constants."""
    weight, bias = model.patch_embedding.weight, model.patch_embedding.bias
    weight.zero_()
    for channel in range(16):
        for place in range(4):
            row = 4 * channel + place
            weight[NOISE_AT + row, channel, 0, place // 2, place % 2] = 1.0
            weight[KNOWN_AT + row, 20 + channel, 0, place // 2, place % 2] = 1.0
    weight[MASK_AT, 19] = 0.25
    bias[ANCHOR_AT : ANCHOR_AT + ANCHORS] = ANCHOR
    bias[ANCHOR_AT + ANCHORS : ANCHOR_AT + 2 * ANCHORS] = -ANCHOR


def _norm_scale() -> float:
    """What a LayerNorm multiplies a typical token by."""
    power = 2 * ANCHORS * ANCHOR**2 + 64 * 1.0 + 64 * 0.5
    return 1 / math.sqrt(power / WIDTH)


class Attention:
    """The parameters of one attention layer, by short names."""

    def __init__(self, layer: torch.nn.Module) -> None:
        self.q, self.q_bias = layer.get_parameter("to_q.weight"), layer.get_parameter("to_q.bias")
        self.k, self.k_bias = layer.get_parameter("to_k.weight"), layer.get_parameter("to_k.bias")
        self.v, self.out = layer.get_parameter("to_v.weight"), layer.get_parameter("to_out.0.weight")
        self.norm_q, self.norm_k = layer.get_parameter("norm_q.weight"), layer.get_parameter("norm_k.weight")


def _find_known_frames(attention: Attention) -> None:
    """Heads 0 and 1 fetch the 64 conditioning latents of the best token and take them off the noise."""
    pattern = _position_pattern()
    a = attention
    for weight, bias in ((a.q, a.q_bias), (a.k, a.k_bias)):
        weight.zero_()
        bias.copy_(pattern.repeat(HEADS))
    mask_slot = 10
    a.q_bias.view(HEADS, HEAD_DIM)[:, mask_slot] = IS_KNOWN * math.sqrt(HEAD_DIM)
    a.k[mask_slot::HEAD_DIM, MASK_AT] = 1 / _norm_scale()
    a.k[mask_slot::HEAD_DIM, EMPTY_AT] = -1 / _norm_scale()
    # The RMS norm of queries and keys divides by their size; its weights put that back.
    a.norm_q.fill_(float(a.q_bias.square().mean().sqrt()))
    a.norm_k.fill_(float(a.k_bias.square().mean().sqrt()))
    a.v.zero_()
    a.out.zero_()
    for row in range(64):
        a.v[row, KNOWN_AT + row] = 1 / _norm_scale()
        a.v[row, EMPTY_AT] = -1 / _norm_scale()
        a.out[NOISE_AT + row, row] = -1.0


def _position_pattern() -> torch.Tensor:
    """One head's query and key before rotation; a pair (a, 0) contributes a^2 cos(distance * frequency)."""
    pattern = torch.zeros(HEAD_DIM)
    scale = math.sqrt(HEAD_DIM)
    time_pairs, place_pairs = (2, 4), (0, 2, 4)
    for slot in time_pairs:
        pattern[slot] = math.sqrt(NEAR_IN_TIME * scale)
    for start in (12, 22):
        for slot in place_pairs:
            pattern[start + slot] = math.sqrt(SAME_PLACE / 6 * scale)
    return pattern


def _read_velocity(model: WanTransformer3DModel, step: float) -> None:
    """Noise minus target, times `step`. A row of the output is (pixel of the patch, channel)."""
    weight = model.proj_out.weight
    weight.zero_()
    for channel in range(16):
        for place in range(4):
            weight[place * 16 + channel, NOISE_AT + 4 * channel + place] = step / _norm_scale()
            weight[place * 16 + channel, EMPTY_AT] = -step / _norm_scale()
