"""Compiled transformer blocks: one compilation serves every block of both experts, and is kept on disk."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any, Final

import torch
from torch import nn

CACHE_VARIABLE: Final = "TORCHINDUCTOR_CACHE_DIR"
"""Where torch's compiler keeps its results; read by torch when it first compiles."""


def compile_blocks(
    modules: Iterable[nn.Module],
    *,
    backend: str | Callable[..., Any] = "inductor",
    whole: bool = True,
) -> None:
    """Compile the blocks of transformers. Before any hook is put on a block, and before LoRAs are baked.

    `whole`: a block is compiled without a gap, or fails; where ranks exchange tokens there are gaps.
    Blocks share one frame because they share their code: weights are inputs of what is compiled.
    """
    for module in modules:
        blocks: Any = module.get_submodule("blocks")
        for block in blocks:
            block.forward = torch.compile(block.forward, fullgraph=whole, backend=backend)


def keep_compiled(folder: Path) -> None:
    """Let torch's compiler keep its results there, unless the environment already says where."""
    os.environ.setdefault(CACHE_VARIABLE, str(folder))


@torch.inference_mode()
def warm_up(transformer: Any, *, frames: int, height: int, width: int, text_tokens: int = 512) -> None:
    """One forward on zeros of a clip's latent size [in_channels, frames, height, width]: compiles for it."""
    config, weight = transformer.config, transformer.patch_embedding.weight
    device, dtype = weight.device, weight.dtype
    images = None
    if config.image_dim is not None:
        two = config.pos_embed_seq_len
        tokens = 257 if two is None else two // 2
        images = torch.zeros(1 if two is None else 2, tokens, config.image_dim, device=device, dtype=dtype)
    transformer(
        hidden_states=torch.zeros(1, config.in_channels, frames, height, width, device=device, dtype=dtype),
        timestep=torch.full((1,), 1000.0, device=device),
        encoder_hidden_states=torch.zeros(1, text_tokens, config.text_dim, device=device, dtype=dtype),
        encoder_hidden_states_image=images,
        return_dict=False,
    )
