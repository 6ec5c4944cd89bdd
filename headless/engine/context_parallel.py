"""One transformer over several ranks: each has a share of the tokens, and in self-attention of the heads.

Ulysses (Jacobs et al., 2023, "DeepSpeed Ulysses"): everything but self-attention looks at single tokens, so
a rank computes it for its share alone. Before self-attention the ranks exchange queries, keys and values, so
that each has all tokens of some heads; afterwards they exchange back. Shares need not be equal: the first
ranks get one more token, or head, where the number does not divide. Nothing is padded in the computation, and
the attention of a head is the very call that one rank makes.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, ParamSpec, TypeVar

import torch
from diffusers.models.attention_dispatch import dispatch_attention_fn
from torch import Tensor, nn

from headless.engine.links import Exchange, Links
from headless.errors import BadParams, UsageError

P = ParamSpec("P")
T = TypeVar("T")


def untraced(function: Callable[P, T]) -> Callable[P, T]:
    """Keep a function out of compiled blocks: ranks meet in it, and the compiler cannot follow."""
    compiler: Any = torch.compiler
    kept: Callable[P, T] = compiler.disable(function)
    return kept


def shares(total: int, ranks: int) -> list[int]:
    """How many of `total` things each rank gets; they differ by one at most."""
    return [total // ranks + (rank < total % ranks) for rank in range(ranks)]


def parts_of(tensor: Tensor, sizes: Sequence[int], dim: int = 0) -> tuple[Tensor, ...]:
    """`tensor` cut into pieces of these sizes."""
    return torch.split_with_sizes(tensor, list(sizes), dim)


def split_transformer(transformer: nn.Module, links: Links) -> None:
    """Let the ranks compute this `WanTransformer3DModel` together; all must call this, and run it alike.

    Each is given the same inputs and gets the whole output. Raises `UsageError` where a rank would have no
    head.
    """
    network: Any = transformer
    heads = network.config.num_attention_heads
    if heads < links.size:
        raise UsageError(
            f"{links.size} ranks cannot share the {heads} attention heads of this model. Start torchrun with "
            f"--nproc_per_node {heads} or less."
        )
    split = TokenSplit(links)
    network.rope.register_forward_hook(lambda _module, _given, tables: split.begin(tables))
    network.blocks[0].register_forward_pre_hook(lambda _module, given: (split.own(given[0]), *given[1:]))
    network.proj_out.register_forward_hook(lambda _module, _given, output: split.whole(output))
    for block in network.blocks:
        block.attn1.processor = UlyssesAttention(split, block.attn1.processor)


class TokenSplit:
    """The tokens of the forward that runs now, over the ranks."""

    def __init__(self, links: Links) -> None:
        self.links = links
        self.shares: list[int] = []

    def begin(self, tables: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
        """Take note of the number of tokens; this rank's part of the rotary tables [1, S, 1, d]."""
        tokens = tables[0].shape[1]
        if tokens < self.links.size:
            raise BadParams(
                f"width, height, num_frames: a clip of {tokens} tokens cannot be shared by {self.links.size} "
                "ranks; ask for a larger one"
            )
        self.shares = shares(tokens, self.links.size)
        return tuple(self.own(table) for table in tables)

    def own(self, tensor: Tensor) -> Tensor:
        """This rank's tokens of [1, S, ...]."""
        return parts_of(tensor, self.shares, dim=1)[self.links.rank].contiguous()

    def whole(self, tensor: Tensor) -> Tensor:
        """All tokens [1, S, c] from every rank's own [1, s, c]."""
        longest, channels = max(self.shares), tensor.shape[2]
        given = tensor.new_zeros(longest, channels)
        given[: tensor.shape[1]] = tensor[0]
        output = tensor.new_empty(len(self.shares) * longest, channels)
        self.links.gather(output, given)
        parts = [
            part[:own] for part, own in zip(output.view(-1, longest, channels), self.shares, strict=True)
        ]
        return torch.cat(parts).unsqueeze(0)

    @untraced
    def to_heads(self, *tensors: Tensor) -> list[Tensor]:
        """From this rank's tokens of all heads [1, s, H, d] to all tokens of its heads [1, S, h, d]."""
        own, heads, size = tensors[0].shape[1:]
        per_rank = shares(heads, self.links.size)
        mine = per_rank[self.links.rank]
        exchanges = [
            Exchange(
                given=torch.cat([part.reshape(-1) for part in parts_of(tensor[0], per_rank, dim=1)]),
                given_splits=[own * part * size for part in per_rank],
                output=tensor.new_empty(sum(self.shares) * mine * size),
                output_splits=[tokens * mine * size for tokens in self.shares],
            )
            for tensor in tensors
        ]
        self.links.swap(exchanges)
        return [e.output.view(1, -1, mine, size) for e in exchanges]

    @untraced
    def to_tokens(self, tensor: Tensor, heads: int) -> Tensor:
        """The way back: from [1, S, h, d] to [1, s, H, d]."""
        mine, size = tensor.shape[2:]
        own, per_rank = self.shares[self.links.rank], shares(heads, self.links.size)
        exchange = Exchange(
            given=tensor.reshape(-1),
            given_splits=[tokens * mine * size for tokens in self.shares],
            output=tensor.new_empty(own * heads * size),
            output_splits=[own * part * size for part in per_rank],
        )
        self.links.swap([exchange])
        parts = parts_of(exchange.output, exchange.output_splits)
        by_rank = [part.view(own, part_heads, size) for part, part_heads in zip(parts, per_rank, strict=True)]
        return torch.cat(by_rank, dim=1).unsqueeze(0)


class UlyssesAttention:
    """Takes the place of diffusers' processor in a self-attention layer; the arithmetic is the same."""

    def __init__(self, split: TokenSplit, replaced: Any) -> None:
        self._split = split
        self._attention_backend = replaced._attention_backend

    def __call__(
        self,
        layer: Any,
        hidden_states: Tensor,
        _other_tokens: None,
        _mask: None,
        rotary: Sequence[Tensor],
    ) -> Tensor:
        """Attention [1, s, c] of this rank's tokens [1, s, c] to all tokens."""
        projected = (
            layer.norm_q(layer.to_q(hidden_states)),
            layer.norm_k(layer.to_k(hidden_states)),
            layer.to_v(hidden_states),
        )
        query, key, value = (tensor.view(*tensor.shape[:2], layer.heads, -1) for tensor in projected)
        query, key, value = self._split.to_heads(rotated(query, *rotary), rotated(key, *rotary), value)
        attended: Tensor = dispatch_attention_fn(
            query,
            key,
            value,
            attn_mask=None,
            dropout_p=0.0,
            is_causal=False,
            backend=self._attention_backend,
        )
        joined = self._split.to_tokens(attended, layer.heads).flatten(2, 3).type_as(hidden_states)
        output: Tensor = layer.to_out[0](joined)
        return output


def rotated(tensor: Tensor, cosines: Tensor, sines: Tensor) -> Tensor:
    """Rotary position embedding of [1, s, H, d] with tables [1, s, 1, d] that hold each angle twice."""
    even, odd = tensor.view(*tensor.shape[:-1], -1, 2).unbind(-1)
    cosine, sine = cosines[..., 0::2], sines[..., 1::2]
    result = torch.empty_like(tensor)
    result[..., 0::2] = even * cosine - odd * sine
    result[..., 1::2] = even * sine + odd * cosine
    return result
