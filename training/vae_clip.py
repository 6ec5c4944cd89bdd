"""The VAE over a whole clip at once, for training: what chunk by chunk gives, in a tenth of the calls.

Every convolution is causal, so only the two resampling layers treat a clip's first frame apart.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeAlias

import torch
from diffusers import AutoencoderKLWan
from torch import Tensor
from torch.nn import functional

NormSilu: TypeAlias = Callable[[Tensor, Tensor], Tensor]


def norm_silu(rows: Tensor, gamma: Tensor) -> Tensor:
    """Wan's RMS norm, then SiLU, of rows [n, channels]. Most of the memory traffic, so worth compiling."""
    inverse = torch.rsqrt(rows.square().mean(1, keepdim=True) + 1e-12)
    return functional.silu(rows * inverse * gamma)


def compiled_norm_silu() -> NormSilu:
    """The same in one pass over memory; needs a C++ compiler."""
    torch._dynamo.config.recompile_limit = 64
    compiled: NormSilu = torch.compile(norm_silu, dynamic=True)
    return compiled


class ClipVae:
    """Encoder and decoder of one autoencoder, differentiable. Nothing is clamped or normalised."""

    def __init__(self, vae: AutoencoderKLWan, fused: NormSilu = norm_silu) -> None:
        self._vae = vae
        self._fused = fused

    def encode(self, pixels: Tensor) -> tuple[Tensor, Tensor]:
        """Mean and logarithm of the variance, both [b, 16, T, h, w], of pixels [b, 3, t, H, W] in [-1, 1]."""
        encoder: Any = self._vae.encoder
        x = _causal(encoder.conv_in, pixels.contiguous(memory_format=torch.channels_last_3d))
        for block in encoder.down_blocks:
            x = _halved(block, x) if hasattr(block, "resample") else self._residual(block, x)
        x = self._middle(encoder.mid_block, x)
        x = _causal(encoder.conv_out, self._normed(encoder.norm_out, x))
        mean, variance = self._vae.quant_conv(x).chunk(2, dim=1)
        return mean, variance

    def decode(self, latents: Tensor) -> Tensor:
        """Pixels [b, 3, t, H, W] of latents [b, 16, T, h, w]."""
        decoder: Any = self._vae.decoder
        x = self._middle(decoder.mid_block, _causal(decoder.conv_in, self._vae.post_quant_conv(latents)))
        for block in decoder.up_blocks:
            for resnet in block.resnets:
                x = self._residual(resnet, x)
            for upsampler in block.upsamplers or ():
                x = upsampler(_doubled(upsampler, x) if upsampler.mode == "upsample3d" else x)
        return _causal(decoder.conv_out, self._normed(decoder.norm_out, x))

    def _middle(self, block: Any, x: Tensor) -> Tensor:
        x = self._residual(block.resnets[0], x)
        return self._residual(block.resnets[1], block.attentions[0](x))

    def _residual(self, block: Any, x: Tensor) -> Tensor:
        inner = _causal(block.conv1, self._normed(block.norm1, x))
        inner = _causal(block.conv2, self._normed(block.norm2, inner))
        shortcut: Tensor = block.conv_shortcut(x)
        return inner + shortcut

    def _normed(self, norm: Any, x: Tensor) -> Tensor:
        b, c, t, h, w = x.shape
        rows = self._fused(x.permute(0, 2, 3, 4, 1).reshape(-1, c), norm.gamma.flatten())
        return rows.view(b, t, h, w, c).permute(0, 4, 1, 2, 3)


def _causal(conv: Any, x: Tensor) -> Tensor:
    """A 3x3x3 convolution that looks back two frames; of a single frame only its last slice counts."""
    if x.shape[2] > 1 and x.shape[0] == 1:
        return _causal_by_frames(conv, x)
    if x.shape[2] > 1:
        late = functional.pad(x, (0, 0, 0, 0, 2, 0))
        return functional.conv3d(late, conv.weight, conv.bias, padding=(0, 1, 1))
    return functional.conv2d(x[:, :, 0], conv.weight[:, :, -1], conv.bias, padding=1).unsqueeze(2)


def _causal_by_frames(conv: Any, x: Tensor) -> Tensor:
    """The same for one clip, a flat convolution per slice: torch has no fast kernel for a batch of one."""
    frames = functional.pad(x, (0, 0, 0, 0, 2, 0))[0].transpose(0, 1)
    length = x.shape[2]
    total = functional.conv2d(frames[2:], conv.weight[:, :, 2], conv.bias, padding=1)
    for slice_ in (0, 1):
        total = total + functional.conv2d(
            frames[slice_ : slice_ + length], conv.weight[:, :, slice_], padding=1
        )
    return total.transpose(0, 1).unsqueeze(0)


def _halved(block: Any, x: Tensor) -> Tensor:
    x = block(x)
    if block.mode != "downsample3d" or x.shape[2] == 1:
        return x
    return torch.cat([x[:, :, :1], block.time_conv(x)], dim=2)


def _doubled(upsampler: Any, x: Tensor) -> Tensor:
    """The first frame stays one frame; every other becomes two."""
    if x.shape[2] == 1:
        return x
    b, c, _, h, w = x.shape
    pairs = upsampler.time_conv(x[:, :, 1:]).reshape(b, 2, c, -1, h, w)
    return torch.cat([x[:, :, :1], pairs.permute(0, 2, 3, 1, 4, 5).reshape(b, c, -1, h, w)], dim=2)
