"""Tiles in space: the grid of diffusers' Wan VAE and the blending of neighbouring tiles.

The arithmetic is diffusers' `tiled_encode` and `tiled_decode`; only the order of work differs, since a decode
that streams needs all tiles of one chunk before the next chunk.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor


@dataclass(frozen=True)
class TileGrid:
    """Overlapping tiles over a plane of `height` by `width`, in the plane's units (pixels or latents)."""

    height: int
    width: int
    tile_height: int
    tile_width: int
    stride_height: int
    stride_width: int

    def rows(self) -> list[list[tuple[slice, slice]]]:
        """Rows of tiles, each the slices that it covers."""
        return [
            [
                (slice(top, top + self.tile_height), slice(left, left + self.tile_width))
                for left in range(0, self.width, self.stride_width)
            ]
            for top in range(0, self.height, self.stride_height)
        ]

    def scaled(self, numerator: int, denominator: int) -> TileGrid:
        """The same grid in other units, for example pixels to latents with 1 over 8."""
        return TileGrid(
            *(value * numerator // denominator for value in (self.height, self.width)),
            *(value * numerator // denominator for value in (self.tile_height, self.tile_width)),
            *(value * numerator // denominator for value in (self.stride_height, self.stride_width)),
        )


def pixel_grid(module: Any, height: int, width: int) -> TileGrid | None:
    """The VAE's grid over a picture of `height` by `width` pixels, or `None` where it works untiled."""
    grid = TileGrid(
        height,
        width,
        module.tile_sample_min_height,
        module.tile_sample_min_width,
        module.tile_sample_stride_height,
        module.tile_sample_stride_width,
    )
    if not module.use_tiling or (width <= grid.tile_width and height <= grid.tile_height):
        return None
    return grid


def assemble(module: Any, tiles: list[list[Tensor]], grid: TileGrid) -> Tensor:
    """Blend tiles [B, C, T, h, w] into one plane of the grid's size. `tiles` are changed in place."""
    blend_height = grid.tile_height - grid.stride_height
    blend_width = grid.tile_width - grid.stride_width
    rows = []
    for i, row in enumerate(tiles):
        kept = []
        for j, tile in enumerate(row):
            blended = module.blend_v(tiles[i - 1][j], tile, blend_height) if i else tile
            blended = module.blend_h(row[j - 1], blended, blend_width) if j else blended
            kept.append(blended[:, :, :, : grid.stride_height, : grid.stride_width])
        rows.append(torch.cat(kept, dim=-1))
    return torch.cat(rows, dim=3)[:, :, :, : grid.height, : grid.width]
