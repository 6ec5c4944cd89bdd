"""The published Wan transformers: their sizes, and from these the shape of every parameter, without torch."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Final

PATCH: Final = (1, 2, 2)
CLIP_WIDTH: Final = 1280
Entries = Iterator[tuple[str, tuple[int, ...]]]


@dataclass(frozen=True)
class Network:
    """Sizes of one transformer. `reads_images`: CLIP embeddings; `image_tokens`: their learnt positions."""

    id: str
    name: str
    in_channels: int
    width: int
    layers: int
    feed_forward: int
    out_channels: int = 16
    text_width: int = 4096
    time_width: int = 256
    reads_images: bool = False
    image_tokens: int | None = None

    def shapes(self) -> Mapping[str, tuple[int, ...]]:
        """Parameter name in diffusers' spelling -> shape."""
        found = dict(self._ends())
        for index in range(self.layers):
            found |= {f"blocks.{index}.{name}": shape for name, shape in self._block()}
        return found

    def _ends(self) -> Entries:
        width, embedder = self.width, "condition_embedder"
        yield "scale_shift_table", (1, 2, width)
        yield "patch_embedding.weight", (width, self.in_channels, *PATCH)
        yield "patch_embedding.bias", (width,)
        yield from _linear(f"{embedder}.time_embedder.linear_1", self.time_width, width)
        yield from _linear(f"{embedder}.time_embedder.linear_2", width, width)
        yield from _linear(f"{embedder}.time_proj", width, 6 * width)
        yield from _linear(f"{embedder}.text_embedder.linear_1", self.text_width, width)
        yield from _linear(f"{embedder}.text_embedder.linear_2", width, width)
        if self.reads_images:
            yield from _norm(f"{embedder}.image_embedder.norm1", CLIP_WIDTH)
            yield from _linear(f"{embedder}.image_embedder.ff.net.0.proj", CLIP_WIDTH, CLIP_WIDTH)
            yield from _linear(f"{embedder}.image_embedder.ff.net.2", CLIP_WIDTH, width)
            yield from _norm(f"{embedder}.image_embedder.norm2", width)
        if self.image_tokens is not None:
            yield f"{embedder}.image_embedder.pos_embed", (1, self.image_tokens, CLIP_WIDTH)
        yield from _linear("proj_out", width, 4 * self.out_channels)

    def _block(self) -> Entries:
        width = self.width
        yield "scale_shift_table", (1, 6, width)
        for attention in ("attn1", "attn2"):
            yield f"{attention}.norm_q.weight", (width,)
            yield f"{attention}.norm_k.weight", (width,)
            for part in ("to_q", "to_k", "to_v", "to_out.0"):
                yield from _linear(f"{attention}.{part}", width, width)
        if self.reads_images:
            yield "attn2.norm_added_k.weight", (width,)
            yield from _linear("attn2.add_k_proj", width, width)
            yield from _linear("attn2.add_v_proj", width, width)
        yield from _norm("norm2", width)
        yield from _linear("ffn.net.0.proj", width, self.feed_forward)
        yield from _linear("ffn.net.2", self.feed_forward, width)


def _linear(name: str, inputs: int, outputs: int) -> Entries:
    yield f"{name}.weight", (outputs, inputs)
    yield f"{name}.bias", (outputs,)


def _norm(name: str, width: int) -> Entries:
    yield f"{name}.weight", (width,)
    yield f"{name}.bias", (width,)


NETWORKS: Final = (
    Network("i2v_2_2", "Wan 2.2 image to video A14B", 36, 5120, 40, 13824),
    Network("t2v", "Wan 2.1 or 2.2 text to video 14B", 16, 5120, 40, 13824),
    Network("i2v", "Wan 2.1 image to video 14B", 36, 5120, 40, 13824, reads_images=True),
    Network(
        "flf2v_720p",
        "Wan 2.1 first and last frame 14B",
        36,
        5120,
        40,
        13824,
        reads_images=True,
        image_tokens=514,
    ),
    Network("t2v_1.3B", "Wan 2.1 text to video 1.3B", 16, 1536, 30, 8960),
    Network("fun_inp_1.3B", "Wan 2.1 Fun InP 1.3B", 36, 1536, 30, 8960, reads_images=True),
    Network("ti2v_5b", "Wan 2.2 text and image to video 5B", 48, 3072, 30, 14336, out_channels=48),
    Network("wan_tiny_i2v", "the tiny model shipped here", 36, 192, 6, 576, text_width=64, time_width=64),
)
"""Most wanted first. Names from the models' own pages; sizes from their config.json files."""
