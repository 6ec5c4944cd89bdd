"""Names of the VAE's tensors: from the original single files to diffusers' modules."""

from __future__ import annotations

import re
from collections.abc import Iterable

from models.errors import WeightsError

PREFIXES = ("first_stage_model.", "vae.", "")
_RESIDUAL = {
    "residual.0.": "norm1.",
    "residual.2.": "conv1.",
    "residual.3.": "norm2.",
    "residual.6.": "conv2.",
    "shortcut.": "conv_shortcut.",
}
_FIXED = {
    "conv1.": "quant_conv.",
    "conv2.": "post_quant_conv.",
    "encoder.conv1.": "encoder.conv_in.",
    "decoder.conv1.": "decoder.conv_in.",
    "encoder.head.0.": "encoder.norm_out.",
    "decoder.head.0.": "decoder.norm_out.",
    "encoder.head.2.": "encoder.conv_out.",
    "decoder.head.2.": "decoder.conv_out.",
}
_MIDDLE = {"0": "resnets.0", "1": "attentions.0", "2": "resnets.1"}
_BLOCK = re.compile(r"(encoder\.downsamples|decoder\.upsamples|(?:en|de)coder\.middle)\.(\d+)\.(.+)")


def diffusers_names(names: Iterable[str]) -> dict[str, str]:
    """Each tensor name of a file and its name in diffusers' `AutoencoderKLWan`.

    Diffusers names pass as they are. Raises `WeightsError` for a name that is neither.
    """
    found = list(names)
    prefix = next(p for p in PREFIXES if not p or all(name.startswith(p) for name in found))
    bare = {name: name.removeprefix(prefix) for name in found}
    if not any(_is_original(name) for name in bare.values()):
        return bare
    depth = _residual_blocks(bare.values())
    return {name: _renamed(short, depth) for name, short in bare.items()}


def _is_original(name: str) -> bool:
    return name.startswith(
        ("encoder.downsamples.", "encoder.conv1.", "decoder.upsamples.", "encoder.middle.")
    )


def _residual_blocks(names: Iterable[str]) -> int:
    """Residual blocks per level of the encoder: what stands before its first resampling."""
    blocks = {int(m[2]): m[3] for name in names if (m := _BLOCK.match(name)) and "downsamples" in m[1]}
    resampled = [index for index, rest in blocks.items() if rest.startswith(("resample.", "time_conv."))]
    return min(resampled, default=len(blocks))


def _renamed(name: str, depth: int) -> str:
    for old, new in _FIXED.items():
        if name.startswith(old):
            return new + name.removeprefix(old)
    block = _BLOCK.match(name)
    if block is None:
        raise WeightsError(f"no part of a Wan VAE is called {name!r}")
    where, index, rest = block.groups()
    for old, new in _RESIDUAL.items():
        if rest.startswith(old):
            rest = new + rest.removeprefix(old)
    if where.endswith("middle"):
        if index not in _MIDDLE:
            raise WeightsError(f"no part of a Wan VAE is called {name!r}")
        return f"{where.removesuffix('middle')}mid_block.{_MIDDLE[index]}.{rest}"
    if where.startswith("encoder"):
        return f"encoder.down_blocks.{index}.{rest}"
    level, position = divmod(int(index), depth + 2)
    part = "upsamplers.0" if rest.startswith(("resample.", "time_conv.")) else f"resnets.{position}"
    return f"decoder.up_blocks.{level}.{part}.{rest}"
