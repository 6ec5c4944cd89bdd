"""A whole image-to-video model of random networks, in the engine and in diffusers' pipeline."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from functools import wraps
from pathlib import Path
from time import perf_counter
from typing import Any, Final

import torch

from benchmarks.gpu.clock import wait_for
from benchmarks.gpu.networks import Sizes, text_encoder, transformer, vae
from headless.engine.experts import Bakery
from headless.engine.loading import TEXT_PART, LoadedModel, Recipe
from headless.engine.memory import Memory
from headless.engine.phases import Expert
from headless.engine.plans import MemoryPlan
from headless.engine.preview import LatentPreview
from headless.engine.prompt_cache import PromptCache
from headless.engine.text import TextEncoder, load_tokenizer
from models.vae import WanVae

EXPERTS: Final = (Expert.HIGH, Expert.LOW)
_TOKENIZER: Final = Path(__file__).resolve().parents[2] / "models" / "tiny" / "tokenizer"


def random_parts(sizes: Sizes, device: torch.device, dtype: torch.dtype) -> dict[str, torch.nn.Module]:
    """Two experts and a text encoder, under the names that a memory plan gives them."""
    experts = {expert.value: transformer(sizes, device, dtype, seed) for seed, expert in enumerate(EXPERTS)}
    return {**experts, TEXT_PART: text_encoder(sizes, device, dtype)}


def random_vae(sizes: Sizes, device: torch.device, dtype: torch.dtype) -> WanVae:
    """In one precision with the experts, as published definitions have it on a GPU."""
    return WanVae(vae(sizes, device, dtype))


def model_of(
    memory: Memory,
    autoencoder: WanVae,
    device: torch.device,
    *,
    plan: MemoryPlan = MemoryPlan.RESIDENT,
    attention: str = "native",
) -> LoadedModel:
    """What the engine would have after a load of these networks, placed by `memory`."""
    high: Any = memory.module(Expert.HIGH.value)
    dtype = high.patch_embedding.weight.dtype
    text = TextEncoder(load_tokenizer(_TOKENIZER), memory, TEXT_PART, device, cache=PromptCache())
    return LoadedModel(
        recipe=Recipe((), dtype, autoencoder.dtype),
        memory=memory,
        plan=plan,
        experts=EXPERTS,
        in_channels=high.config.in_channels,
        vae=autoencoder,
        attention=attention,
        text=text,
        images=None,
        bakery=Bakery(memory, EXPERTS),
        preview=LatentPreview(),
    )


@contextmanager
def their_stages(pipe: Any, device: torch.device) -> Iterator[Mapping[str, float]]:
    """Seconds of a pipeline's stages, under the names that the engine's have. Each call is waited for."""
    spent: dict[str, float] = {}
    calls = [(pipe.vae, "encode", "conditioning"), (pipe.vae, "decode", "decoding")]
    calls += [(module, "forward", "denoising") for module in (pipe.transformer, pipe.transformer_2)]
    for owner, name, stage in calls:
        setattr(owner, name, _timed(getattr(owner, name), stage, spent, device))
    try:
        yield spent
    finally:
        for owner, name, _ in calls:
            delattr(owner, name)


def _timed(
    call: Callable[..., Any], stage: str, spent: dict[str, float], device: torch.device
) -> Callable[..., Any]:
    @wraps(call)
    def timed(*arguments: Any, **named: Any) -> Any:
        wait_for(device)
        began = perf_counter()
        result = call(*arguments, **named)
        wait_for(device)
        spent[stage] = spent.get(stage, 0.0) + perf_counter() - began
        return result

    return timed
