"""Cross-attention over a short prompt that equals the one over its 512 tokens.

Wan pads every prompt with zeros to 512 tokens. All padding is one and the same key and value, so a single
padding token whose logit grows by the logarithm of their number has the same effect: exp(x + log n) is
n exp(x). With prompts of 14 tokens this takes most of a small model's work away.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

import torch
from diffusers import WanTransformer3DModel
from torch import Tensor
from torch.nn import functional

TOKENS: Final = 512


def padded(states: Sequence[Tensor]) -> tuple[Tensor, Tensor]:
    """Prompts [n_i, d] as one tensor [b, L, d] and what to add to their logits [b, L]."""
    longest = max(len(state) for state in states) + 1
    text = torch.zeros(len(states), longest, states[0].shape[1])
    bias = torch.full((len(states), longest), float("-inf"))
    for row, state in enumerate(states):
        text[row, : len(state)] = state
        bias[row, : len(state)] = 0.0
        bias[row, len(state)] = torch.tensor(float(TOKENS - len(state))).log()
    return text, bias


def _in_single(_: torch.nn.Module, inputs: tuple[Tensor]) -> tuple[Tensor]:
    """torch has no fast norm for bfloat16 with gains of 32 bits, which is what autocast makes of it."""
    return (inputs[0].float(),)


class ShortText:
    """The cross-attention of every block of one transformer. `bias` [b, L] is set before each forward.

    The norms of queries and keys compute in 32 bits, under autocast too.
    """

    def __init__(self, model: WanTransformer3DModel) -> None:
        self.bias: Tensor | None = None
        for block in model.blocks:
            block.attn2.processor = self
            for attention in (block.attn1, block.attn2):
                attention.norm_q.register_forward_pre_hook(_in_single)
                attention.norm_k.register_forward_pre_hook(_in_single)

    def __call__(self, attention: Any, hidden: Tensor, text: Tensor, *_: object) -> Tensor:
        """What diffusers' own processor computes for text."""
        query = attention.norm_q(attention.to_q(hidden))
        key = attention.norm_k(attention.to_k(text))
        value = attention.to_v(text)
        query, key, value = (
            part.unflatten(2, (attention.heads, -1)).transpose(1, 2) for part in (query, key, value)
        )
        bias = None if self.bias is None else self.bias[:, None, None, :].to(query.dtype)
        found = functional.scaled_dot_product_attention(query, key, value, attn_mask=bias)
        result: Tensor = attention.to_out[0](found.transpose(1, 2).flatten(2))
        return result
