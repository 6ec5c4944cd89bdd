"""Which attention kernel runs: the fastest exact one that works here, tried out and not guessed."""

from __future__ import annotations

import warnings
from collections.abc import Iterable, Sequence
from typing import Any, Final

import structlog
import torch
from diffusers.models.attention_dispatch import AttentionBackendName, dispatch_attention_fn
from torch import Tensor, nn

NATIVE: Final = "native"
EXACT: Final = ("_flash_3", "_native_cudnn", NATIVE)
"""diffusers' names, fastest first on Hopper. Lossy ones are never tried unasked."""
LOSSY: Final = ("sage",)
ASKABLE: Final = ("auto", *EXACT, *LOSSY)
_REASON: Final = 160
"""Torch's reasons can fill a page."""
_SHAPE: Final = (1, 256, 2, 128)
"""Batch, tokens, heads and the head size that every published Wan model has."""
_TOLERANCE: Final = 0.05
"""Of bfloat16 results against float32 ones of size one; a broken kernel is wrong by far more."""

log = structlog.get_logger(__name__)


def choose_attention(
    asked: str, device: torch.device, dtype: torch.dtype, candidates: Sequence[str] = EXACT
) -> str:
    """The name asked for, or the first candidate that works. Raises `ValueError` if none does."""
    names = candidates if asked == "auto" else (asked,)
    problems: dict[str, str] = {}
    for name in names:
        problem = attention_problem(name, device, dtype)
        if problem is None:
            log.info("attention kernel", name=name, passed_over=problems)
            return name
        problems[name] = problem
    raise ValueError(f"no attention kernel works: {problems}")


def attention_problem(name: str, device: torch.device, dtype: torch.dtype) -> str | None:
    """Why a kernel cannot be used, found by running it once on a small input; None if it can."""
    generator = torch.Generator().manual_seed(0)
    query, key, value = (torch.randn(_SHAPE, generator=generator) for _ in range(3))
    exact = _attend(NATIVE, query, key, value)
    try:
        with warnings.catch_warnings():
            # A kernel that is absent warns and then raises; the reason is in what it raises.
            warnings.simplefilter("ignore")
            found = _attend(name, *(tensor.to(device, dtype) for tensor in (query, key, value)))
    except (RuntimeError, ValueError, ImportError, TypeError) as error:
        return f"{type(error).__name__}: {error}".splitlines()[0][:_REASON]
    difference = (found.float().cpu() - exact).abs().max().item()
    # Written so that NaN is a problem too.
    return None if difference < _TOLERANCE else f"its result is off by {difference:.3g}"


def set_attention(modules: Iterable[nn.Module], name: str) -> None:
    """Give every attention layer of the transformers this kernel; a lossy one only to self-attention."""
    backend = AttentionBackendName(name)
    for module in modules:
        for layer_name, layer in module.named_modules():
            processor: Any = getattr(layer, "processor", None)
            if processor is not None and (name not in LOSSY or layer_name.endswith("attn1")):
                processor._attention_backend = backend


def _attend(name: str, query: Tensor, key: Tensor, value: Tensor) -> Tensor:
    attended: Tensor = dispatch_attention_fn(query, key, value, backend=AttentionBackendName(name))
    return attended
