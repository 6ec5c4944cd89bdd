"""A transformer over several ranks gives what one gives, bit for bit.

Bit for bit can be had because no rank computes anything differently: a token goes through the same matrices,
and a head through the same attention over all tokens. What the number of rows changes in a matrix product is
the library's choice of kernel; at these sizes it sums in the same order.
"""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise
from typing import Any

import pytest
import torch
from diffusers import WanTransformer3DModel

from headless.engine.compiled import compile_blocks
from headless.engine.context_parallel import TokenSplit, shares, split_transformer
from headless.errors import BadParams, UsageError
from tests.parallel.ranks import linked, on_every_rank

SMALL = {"attention_head_dim": 16, "ffn_dim": 32, "text_dim": 8, "in_channels": 16, "num_layers": 2}
FIRST_FRAME = {"image_dim": 8, "added_kv_proj_dim": 48}


def transformer(heads: int = 3, **config: Any) -> WanTransformer3DModel:
    torch.manual_seed(heads)
    model = WanTransformer3DModel(num_attention_heads=heads, **SMALL, **config)
    return model.requires_grad_(False).eval()


def inputs(width: int = 10, **more: Any) -> dict[str, Any]:
    """Latents of 2 x 4 x `width`, that is 4 x `width` / 2 tokens."""
    random = torch.Generator().manual_seed(1)
    return {
        "hidden_states": torch.randn(1, 16, 2, 4, width, generator=random),
        "timestep": torch.tensor([500.0]),
        "encoder_hidden_states": torch.randn(1, 512, 8, generator=random),
        "return_dict": False,
    } | more


def over_ranks(size: int, models: list[Any], **given: Any) -> list[torch.Tensor]:
    """What every rank computes."""
    links = linked(size)

    def run(rank: int) -> torch.Tensor:
        split_transformer(models[rank], links[rank])
        result: torch.Tensor = models[rank](**given)[0]
        return result

    return on_every_rank(size, run)


def test_shares_differ_by_one_at_most() -> None:
    assert shares(8, 2) == [4, 4]
    assert shares(7, 3) == [3, 2, 2]
    for total in range(20):
        assert sum(shares(total, 6)) == total
        assert all(before - after in (0, 1) for before, after in pairwise(shares(total, 6)))


@pytest.mark.parametrize(("size", "tokens", "heads"), [(2, 8, 4), (2, 7, 5), (3, 8, 5), (3, 3, 3)])
def test_tokens_and_heads_change_places_and_back(size: int, tokens: int, heads: int) -> None:
    whole = torch.randn(2, 1, tokens, heads, 4)
    links = linked(size)

    def run(rank: int) -> tuple[list[torch.Tensor], torch.Tensor, torch.Tensor]:
        split = TokenSplit(links[rank])
        split.begin((torch.zeros(1, tokens, 1, 4),))
        own = [split.own(tensor) for tensor in whole]
        of_heads = split.to_heads(*own)
        back = split.to_tokens(of_heads[1], heads)
        assert torch.equal(back, own[1])
        return of_heads, back, split.whole(back.flatten(2))

    first = 0
    for rank, (of_heads, back, gathered) in enumerate(on_every_rank(size, run)):
        last = first + shares(heads, size)[rank]
        for sent, got in zip(whole, of_heads, strict=True):
            assert torch.equal(got, sent[:, :, first:last])
        assert back.shape[1] == shares(tokens, size)[rank]
        assert torch.equal(gathered, whole[1].flatten(2))
        first = last


@pytest.mark.parametrize(
    ("size", "heads", "width"),
    [(2, 4, 8), (2, 3, 10), (2, 3, 14), (3, 4, 10)],
    ids=["even", "odd heads", "odd heads of more tokens", "three ranks"],
)
def test_every_rank_has_the_whole_result(size: int, heads: int, width: int) -> None:
    with torch.inference_mode():
        expected = transformer(heads)(**inputs(width))[0]
    for found in over_ranks(size, [transformer(heads) for _ in range(size)], **inputs(width)):
        assert torch.equal(found, expected)


def test_a_model_that_reads_clip_embeddings_too() -> None:
    images = torch.randn(1, 257, 8, generator=torch.Generator().manual_seed(2))
    given = inputs(encoder_hidden_states_image=images)
    with torch.inference_mode():
        expected = transformer(**FIRST_FRAME)(**given)[0]
    for found in over_ranks(2, [transformer(**FIRST_FRAME) for _ in range(2)], **given):
        assert torch.equal(found, expected)


def test_compiled_blocks_share_their_frames_where_ranks_exchange_as_well() -> None:
    torch._dynamo.reset()
    frames: list[int] = []

    def counting(graph: torch.fx.GraphModule, _inputs: list[torch.Tensor]) -> Callable[..., Any]:
        frames.append(len(graph.graph.nodes))
        return graph.forward

    with torch.inference_mode():
        expected = transformer()(**inputs())[0]
    model = transformer()
    compile_blocks([model], backend=counting, whole=False)
    # One rank exchanges with itself: the compiler's part is the same, and threads would compile twice.
    assert torch.equal(over_ranks(1, [model], **inputs())[0], expected)
    # Up to the attention, to the exchange, to the one back, to the attention's end, and the rest.
    assert len(frames) == 5


def test_a_rank_without_a_head_is_refused() -> None:
    links = linked(2)
    with pytest.raises(UsageError, match="2 ranks cannot share the 1 attention heads"):
        split_transformer(transformer(1), links[0])


def test_a_clip_of_fewer_tokens_than_ranks_is_refused() -> None:
    split = TokenSplit(linked(3)[0])
    with pytest.raises(BadParams, match="a clip of 2 tokens cannot be shared by 3 ranks"):
        split.begin((torch.zeros(1, 2, 1, 4),))
