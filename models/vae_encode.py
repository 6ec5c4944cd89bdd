"""The encoder, run chunk by chunk from outside, without the work that equal frames make needless.

The modules, the kernels and the order of operations are diffusers'; only the loop around them is ours, so
that the last frame can begin afresh (end-frame mode) and settled units can be skipped (`vae_runs`).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

import torch
from diffusers.models.autoencoders.autoencoder_kl_wan import (
    AutoencoderKLWan,
    WanAttentionBlock,
    WanCausalConv3d,
    WanResample,
    WanResidualBlock,
)
from torch import Tensor

from models.vae_pixels import PixelFrames
from models.vae_runs import Reach, still_since, units_to_skip
from models.vae_tiles import assemble, pixel_grid
from wan2gp_patch.frames import FRAMES_PER_LATENT, PIXELS_PER_LATENT, latent_count

Cache: TypeAlias = "list[Tensor | None]"
CACHED_FRAMES = 2


@dataclass(frozen=True)
class Unit:
    """One link of the encoder's chain: `run(x, cache)`, the number of its caches, and its reach in time."""

    run: Callable[[Tensor, Cache], Tensor]
    caches: int
    reach: Reach


def chunk_spans(num_frames: int, *, end_frame: bool) -> tuple[tuple[int, int], ...]:
    """Frames of each chunk: frame 0, then fours; in end-frame mode the last frame alone."""
    latent_count(num_frames, end_frame=end_frame)
    body = num_frames - 1 if end_frame else num_frames
    spans = [(0, 1), *((i, i + FRAMES_PER_LATENT) for i in range(1, body, FRAMES_PER_LATENT))]
    if end_frame:
        spans.append((body, num_frames))
    return tuple(spans)


class ChunkedEncoder:
    """Encodes pixels to the posterior's moments with the encoder of one `AutoencoderKLWan`."""

    def __init__(self, module: AutoencoderKLWan) -> None:
        self._module = module
        self._units = _units_of(module.encoder)

    @torch.no_grad()
    def moments(self, pixels: PixelFrames, *, end_frame: bool) -> Tensor:
        """Moments [1, 2z, T, h, w] in the VAE's dtype, equal bit for bit to diffusers' own encode.

        In end-frame mode they are those of the frames before the last, and those of the last frame alone.
        """
        spans = chunk_spans(pixels.num_frames, end_frame=end_frame)
        running = spans[:-1] if end_frame else spans
        since = still_since(pixels.unchanged(), [end for _, end in running])
        skips = units_to_skip([unit.reach for unit in self._units], since)
        moments = [self._moments_of(pixels, running, skips)]
        if end_frame:
            moments.append(self._moments_of(pixels, spans[-1:], (0,)))
        return torch.cat(moments, dim=2)

    def _moments_of(
        self, pixels: PixelFrames, spans: Sequence[tuple[int, int]], skips: Sequence[int]
    ) -> Tensor:
        grid = pixel_grid(self._module, pixels.height, pixels.width)
        quantise = self._module.quant_conv
        if grid is None:
            everywhere = (slice(None), slice(None))
            whole: Tensor = quantise(torch.cat(self._chunks(pixels, spans, skips, everywhere), dim=2))
            return whole
        tiles = [
            [
                torch.cat([quantise(x) for x in self._chunks(pixels, spans, skips, area)], dim=2)
                for area in row
            ]
            for row in grid.rows()
        ]
        return assemble(self._module, tiles, grid.scaled(1, PIXELS_PER_LATENT))

    def _chunks(
        self,
        pixels: PixelFrames,
        spans: Sequence[tuple[int, int]],
        skips: Sequence[int],
        area: tuple[slice, slice],
    ) -> list[Tensor]:
        """One pass over consecutive chunks with empty caches at its start; `skips` counts units left out.

        A chunk that leaves out units begins with the output of the last of them in the chunk before: only
        that tensor is kept from chunk to chunk. Where it is missing the whole chunk is computed.
        """
        caches: list[Cache] = [[None] * unit.caches for unit in self._units]
        kept: Tensor | None = None
        outputs: list[Tensor] = []
        for (start, end), skip, skip_next in zip(spans, skips, (*skips[1:], 0), strict=True):
            if skip and kept is not None:
                x, first = kept, skip
            else:
                x, first = self._to_device(pixels.frames(start, end)[:, :, *area]), 0
            kept = kept if skip_next == skip else None
            for index in range(first, len(self._units)):
                x = self._units[index].run(x, caches[index])
                if index + 1 == skip_next and skip_next != skip:
                    kept = x
            outputs.append(x)
        return outputs

    def _to_device(self, frames: Tensor) -> Tensor:
        parameter = self._module.quant_conv.weight
        return frames.unsqueeze(0).to(parameter.device, parameter.dtype)


def _units_of(encoder: Any) -> tuple[Unit, ...]:
    blocks = [*encoder.down_blocks, encoder.mid_block.resnets[0]]
    for attention, resnet in zip(encoder.mid_block.attentions, encoder.mid_block.resnets[1:], strict=True):
        blocks += [attention, resnet]

    def head(x: Tensor, cache: Cache) -> Tensor:
        return _convolve(encoder.conv_out, encoder.nonlinearity(encoder.norm_out(x)), cache)

    return (
        Unit(lambda x, cache: _convolve(encoder.conv_in, x, cache), 1, Reach(1)),
        *(_unit_of(block) for block in blocks),
        Unit(head, 1, Reach(1)),
    )


def _unit_of(block: Any) -> Unit:
    caches = sum(isinstance(module, WanCausalConv3d) for module in block.modules())
    if isinstance(block, WanAttentionBlock):
        return Unit(lambda x, _: block(x), 0, Reach())
    if isinstance(block, WanResidualBlock):
        reach = Reach(2)
    elif isinstance(block, WanResample):
        reach = Reach(halves_time=block.mode == "downsample3d")
    else:
        raise TypeError(f"the encoder holds a {type(block).__name__}, which this version does not know")
    return Unit(lambda x, cache: block(x, feat_cache=cache, feat_idx=[0]), caches, reach)


def _convolve(convolution: Any, x: Tensor, cache: Cache) -> Tensor:
    """One causal convolution and its cache: the last two frames of its input."""
    before = cache[0]
    last = x[:, :, -CACHED_FRAMES:].clone()
    if last.shape[2] < CACHED_FRAMES and before is not None:
        last = torch.cat([before[:, :, -1:], last], dim=2)
    result: Tensor = convolution(x, before)
    cache[0] = last
    return result
