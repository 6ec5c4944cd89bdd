"""What a device can do at most, measured in the run whose figures are compared with it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from diffusers.models.attention_dispatch import AttentionBackendName, dispatch_attention_fn

from benchmarks.gpu.clock import best


@dataclass(frozen=True)
class Ceilings:
    """Floating-point operations per second of a matrix product and of attention; bytes per second copied."""

    matmul: float
    attention: float
    copy: float

    def as_json(self) -> dict[str, float]:
        """In TFLOP/s and GB/s."""
        return {
            "matmul_tflops": round(self.matmul / 1e12, 3),
            "attention_tflops": round(self.attention / 1e12, 3),
            "copy_gb_s": round(self.copy / 1e9, 3),
        }


@dataclass(frozen=True)
class Forward:
    """One forward of a Wan transformer: `tokens` of video, `text` tokens, and the network's sizes."""

    tokens: int
    text: int
    width: int
    feed_forward: int
    layers: int
    heads: int

    @classmethod
    def of(cls, config: Any, latents: tuple[int, int, int], text: int) -> Forward:
        """For a transformer's config and latents of (frames, height, width)."""
        frames, height, width = latents
        heads = config.num_attention_heads
        return cls(
            tokens=frames * height * width // 4,
            text=text,
            width=heads * config.attention_head_dim,
            feed_forward=config.ffn_dim,
            layers=config.num_layers,
            heads=heads,
        )

    @property
    def matmul(self) -> int:
        """Operations of the matrix products of all layers; what lies outside the layers is left out.

        A layer multiplies each video token with 6 matrices of width x width (q, k, v and out of
        self-attention, q and out of cross-attention) and 2 of width x feed-forward, and each text token with
        2 of width x width.
        """
        video = self.tokens * self.width * (6 * self.width + 2 * self.feed_forward)
        return 2 * self.layers * (video + self.text * self.width * 2 * self.width)

    @property
    def attention(self) -> int:
        """Operations of self- and cross-attention: 4 x queries x keys x width."""
        return 4 * self.layers * self.tokens * (self.tokens + self.text) * self.width

    def floor(self, ceilings: Ceilings) -> float:
        """Seconds if everything ran at the ceilings, and nothing but products and attention took time."""
        return self.matmul / ceilings.matmul + self.attention / ceilings.attention


@torch.inference_mode()
def measured(forward: Forward, kernel: str, device: torch.device, dtype: torch.dtype) -> Ceilings:
    """The ceilings at the shapes of this forward: its largest product, its self-attention."""
    return Ceilings(
        matmul=_matmul(forward, device, dtype),
        attention=_attention(forward, kernel, device, dtype),
        copy=_copy(forward.tokens * forward.feed_forward, device, dtype),
    )


def _matmul(forward: Forward, device: torch.device, dtype: torch.dtype) -> float:
    a = torch.randn(forward.tokens, forward.width, device=device, dtype=dtype)
    b = torch.randn(forward.width, forward.feed_forward, device=device, dtype=dtype)
    operations = 2 * forward.tokens * forward.width * forward.feed_forward
    return operations / best(lambda: a @ b, device)


def _attention(forward: Forward, kernel: str, device: torch.device, dtype: torch.dtype) -> float:
    shape = (1, forward.tokens, forward.heads, forward.width // forward.heads)
    query, key, value = (torch.randn(shape, device=device, dtype=dtype) for _ in "qkv")
    backend = AttentionBackendName(kernel)
    spent = best(lambda: dispatch_attention_fn(query, key, value, backend=backend), device, times=5)
    return 4 * forward.tokens**2 * forward.width / spent


def _copy(numbers: int, device: torch.device, dtype: torch.dtype) -> float:
    """Bytes read plus bytes written."""
    source = torch.empty(numbers, device=device, dtype=dtype)
    target = torch.empty_like(source)
    return 2 * source.nbytes / best(lambda: target.copy_(source), device)
