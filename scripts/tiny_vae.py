"""Weights of the tiny VAE: Wan 2.1's architecture at an eighth of its width, constructed instead of trained.

The main path carries the colours of 8x8 blocks, one RGB triple per frame, so that what is encoded comes back
blurred but recognisable; the residual branches are small seeded noise, so that every layer takes part.
"""

from __future__ import annotations

import math

import numpy as np
import torch
from diffusers import AutoencoderKLWan

from scripts.tiny_random import fill_uniform

CONFIG = {"base_dim": 8, "z_dim": 16, "dim_mult": [1, 2, 4, 4], "num_res_blocks": 1}
CONSTANT = 16.0
"""The constant channel. It dominates the RMS norm before each head, which keeps that norm nearly linear."""
LATENT_GAIN = 1.5
"""Standard score of a latent that stands for full white."""
COLOURS = 12
"""Latent channels 0..11: slot (coarse time, fine time) times red, green, blue. 12..15 repeat their greys."""
NOISE = 0.03


def build_vae(rng: np.random.Generator) -> AutoencoderKLWan:
    """The whole VAE in float32."""
    vae = AutoencoderKLWan(**CONFIG).eval().requires_grad_(False)
    _noise_everywhere(vae, rng)
    _encoder(vae)
    _decoder(vae)
    return vae


def latent_to_rgb() -> tuple[list[list[float]], list[float]]:
    """Factors [16, 3] and bias [3] from normalised latents to RGB in -1..1, known from the construction."""
    factors = np.zeros((16, 3))
    for channel in range(COLOURS):
        factors[channel, channel % 3] = 1 / (COLOURS // 3 * LATENT_GAIN)
    return factors.tolist(), [0.0, 0.0, 0.0]


def _noise_everywhere(vae: AutoencoderKLWan, rng: np.random.Generator) -> None:
    for name, parameter in vae.named_parameters():
        if name.endswith("gamma"):
            parameter.fill_(1.0)
        elif name.endswith("bias"):
            parameter.zero_()
        else:
            fan_in = math.prod(parameter.shape[1:])
            size = NOISE if _ends_residual(name) else 1.0
            fill_uniform(parameter, rng, size / math.sqrt(fan_in))


def _ends_residual(name: str) -> bool:
    return "conv2" in name or ".proj." in name


def _zero(module: torch.nn.Module) -> tuple[torch.Tensor, torch.Tensor]:
    weight, bias = module.get_parameter("weight"), module.get_parameter("bias")
    weight.zero_()
    bias.zero_()
    return weight, bias


def _pass(module: torch.nn.Module, channels: int) -> None:
    """A convolution that hands the first `channels` channels on unchanged."""
    weight, _ = _zero(module)
    centre = tuple(size // 2 for size in weight.shape[3:])
    for channel in range(channels):
        weight[(channel, channel, weight.shape[2] - 1, *centre)] = 1.0


def _encoder(vae: AutoencoderKLWan) -> None:
    encoder = vae.encoder
    weight, bias = _zero(encoder.conv_in)
    for channel in range(3):
        weight[channel, channel, 2, 1, 1] = 1.0
    bias[3] = CONSTANT
    half, quarter, eighth = (layer for layer in encoder.down_blocks if type(layer).__name__ == "WanResample")
    _pass(encoder.down_blocks[2].conv_shortcut, 8)
    _pass(encoder.down_blocks[4].conv_shortcut, 16)
    _shrink(half.resample[1], {target: [target] for target in range(3)}, {3: 3})
    _shrink(quarter.resample[1], {target: [target % 3] for target in range(6)}, {6: 3})
    _pick_frames(quarter.time_conv, {**{c: c // 3 for c in range(6)}, 6: 1})
    signed = {target: [target % 6] for target in range(COLOURS)}
    _shrink(eighth.resample[1], signed, {2 * COLOURS: 6}, mirror=COLOURS)
    picks = {c: (c % COLOURS) // 6 for c in range(2 * COLOURS)}
    _pick_frames(eighth.time_conv, {**picks, 2 * COLOURS: 1})
    _encoder_head(vae)


def _shrink(
    conv: torch.nn.Module, averages: dict[int, list[int]], copies: dict[int, int], mirror: int = 0
) -> None:
    """Average 2x2 pixels per target channel; with `mirror`, target + mirror carries the negative."""
    weight, _ = _zero(conv)
    for target, sources in averages.items():
        for source in sources:
            weight[target, source, :2, :2] = 0.25
            if mirror:
                weight[target + mirror, source, :2, :2] = -0.25
    for target, source in copies.items():
        weight[target, source, 0, 0] = 1.0


def _pick_frames(conv: torch.nn.Module, picks: dict[int, int]) -> None:
    """Of every two frames, channel c keeps frame `picks[c]` (0 or 1)."""
    weight, _ = _zero(conv)
    for channel, frame in picks.items():
        weight[channel, channel, 1 + frame, 0, 0] = 1.0


def _encoder_head(vae: AutoencoderKLWan) -> None:
    weight, bias = _zero(vae.encoder.conv_out)
    gain = CONSTANT / math.sqrt(weight.shape[1])
    for channel in range(COLOURS):
        weight[channel, channel, 2, 1, 1] = gain
        weight[channel, channel + COLOURS, 2, 1, 1] = -gain
    for frame in range(16 - COLOURS):
        for channel in range(3 * frame, 3 * frame + 3):
            weight[COLOURS + frame, channel, 2, 1, 1] = gain / 3
            weight[COLOURS + frame, channel + COLOURS, 2, 1, 1] = -gain / 3
    bias[16:] = -8.0
    mean, std = vae.config.latents_mean, vae.config.latents_std
    quant, quant_bias = _zero(vae.quant_conv)
    post, post_bias = _zero(vae.post_quant_conv)
    for channel in range(COLOURS):
        quant[channel, channel] = std[channel] * LATENT_GAIN
        quant_bias[channel] = mean[channel]
        post[channel, channel] = 1 / (std[channel] * LATENT_GAIN)
        post_bias[channel] = -mean[channel] / (std[channel] * LATENT_GAIN)
    for channel in range(COLOURS, 16):
        quant[channel, channel] = std[channel] * LATENT_GAIN
        quant_bias[channel] = mean[channel]
        quant[channel + 16, channel + 16] = 1.0
    post_bias[COLOURS] = CONSTANT


def _decoder(vae: AutoencoderKLWan) -> None:
    decoder = vae.decoder
    _pass(decoder.conv_in, COLOURS + 1)
    coarse, fine, last = (decoder.up_blocks[i].upsamplers[0] for i in range(3))
    _pass(decoder.up_blocks[1].resnets[0].conv_shortcut, 16)
    _split_frames(coarse.time_conv, slots=6, constant=COLOURS)
    _grow(coarse.resample[1], {c: [(c, 0.5), (c + 6, 0.5)] for c in range(6)}, {6: COLOURS})
    _split_frames(fine.time_conv, slots=3, constant=6)
    _grow(fine.resample[1], {c: [(c, 0.5), (c + 3, 0.5)] for c in range(3)}, {6: 6})
    signed = {c: [(c % 3, 1.0 if c < 3 else -1.0)] for c in range(6)}
    _grow(last.resample[1], signed, {6: 6})
    weight, _ = _zero(decoder.conv_out)
    gain = CONSTANT / math.sqrt(weight.shape[1])
    for channel in range(3):
        weight[channel, channel, 2, 1, 1] = gain
        weight[channel, channel + 3, 2, 1, 1] = -gain


def _split_frames(conv: torch.nn.Module, slots: int, constant: int) -> None:
    """Frame f of two reads slot f; both slots carry it on, as a lone first frame carries both."""
    weight, _ = _zero(conv)
    dim = weight.shape[1]
    for frame in (0, 1):
        for slot in (0, 1):
            for channel in range(slots):
                weight[frame * dim + slot * slots + channel, frame * slots + channel, 2, 0, 0] = 1.0
        weight[frame * dim + constant, constant, 2, 0, 0] = 1.0


def _grow(conv: torch.nn.Module, sums: dict[int, list[tuple[int, float]]], copies: dict[int, int]) -> None:
    """After a doubling by nearest neighbour this makes it bilinear."""
    weight, _ = _zero(conv)
    smooth = torch.tensor([[1.0, 2.0, 1.0], [2.0, 4.0, 2.0], [1.0, 2.0, 1.0]]) / 16
    for target, sources in sums.items():
        for source, share in sources:
            weight[target, source] = smooth * share
    for target, source in copies.items():
        weight[target, source, 1, 1] = 1.0
