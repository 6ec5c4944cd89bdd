"""The VAE's layout: from a config.json, or from the shapes of its tensors."""

from __future__ import annotations

import inspect
import json
import re
from collections.abc import Mapping
from typing import Any, TypeAlias

from diffusers.models.autoencoders.autoencoder_kl_wan import AutoencoderKLWan

from models.errors import WeightsError

Shapes: TypeAlias = Mapping[str, tuple[int, ...]]
_DOWN = re.compile(r"encoder\.down_blocks\.(\d+)\.(.+)")


def inferred_config(shapes: Shapes) -> dict[str, Any]:
    """Arguments of `AutoencoderKLWan` for tensors of these shapes, without the statistics."""
    try:
        base = shapes["encoder.conv_in.weight"][0]
        blocks = _down_blocks(shapes)
        resampled = [index for index, kind in blocks.items() if "resample.1.weight" in kind]
        depth = min(resampled, default=len(blocks))
        firsts = range(0, len(blocks), depth + 1)
        widths = [blocks[first]["conv1.weight"][0] for first in firsts]
        return {
            "base_dim": base,
            "decoder_base_dim": shapes["decoder.norm_out.gamma"][0] * base // widths[0],
            "z_dim": shapes["post_quant_conv.weight"][0],
            "dim_mult": [width // base for width in widths],
            "num_res_blocks": depth,
            "temperal_downsample": ["time_conv.weight" in blocks[index] for index in resampled],
            "in_channels": shapes["encoder.conv_in.weight"][1],
            "out_channels": shapes["decoder.conv_out.weight"][0],
        }
    except (KeyError, IndexError, ZeroDivisionError) as missing:
        raise WeightsError(f"this is no Wan VAE: its layout cannot be told without {missing}") from missing


def _down_blocks(shapes: Shapes) -> dict[int, dict[str, tuple[int, ...]]]:
    blocks: dict[int, dict[str, tuple[int, ...]]] = {}
    for name, shape in shapes.items():
        if match := _DOWN.match(name):
            blocks.setdefault(int(match[1]), {})[match[2]] = shape
    return blocks


def checked_config(config: Mapping[str, Any]) -> dict[str, Any]:
    """Arguments of `AutoencoderKLWan` from a config.json. An unknown field raises `WeightsError`."""
    name = config.get("_class_name", "AutoencoderKLWan")
    if name != "AutoencoderKLWan":
        raise WeightsError(f"config.json describes a {name}; an AutoencoderKLWan is needed")
    arguments = {key: value for key, value in config.items() if not key.startswith("_")}
    known = set(inspect.signature(AutoencoderKLWan.__init__).parameters) - {"self"}
    if unknown := sorted(set(arguments) - known):
        raise WeightsError(f"config.json has fields that no Wan VAE has: {', '.join(unknown)}")
    return arguments


def statistics(metadata: Mapping[str, str], z_dim: int) -> dict[str, list[float]]:
    """Mean and standard deviation per latent channel, where a single file's metadata name them.

    Without them the published numbers of Wan 2.1 hold, which exist for 16 channels only.
    """
    found = {
        key: [float(value) for value in json.loads(metadata[key])]
        for key in ("latents_mean", "latents_std")
        if key in metadata
    }
    if len(found) == 1 or any(len(values) != z_dim for values in found.values()):
        raise WeightsError(f"latents_mean and latents_std in the metadata must both list {z_dim} numbers")
    if not found and z_dim != 16:
        raise WeightsError(
            f"a VAE of {z_dim} latent channels needs latents_mean and latents_std, in a config.json beside "
            "it or as JSON lists in the file's metadata; published numbers exist for 16 channels only"
        )
    return found
