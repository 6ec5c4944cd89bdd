"""Networks of random weights, made on the device: speed and memory do not ask what the weights are."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final, TypeVar

import torch
from accelerate import init_empty_weights
from diffusers import AutoencoderKLWan, WanTransformer3DModel
from transformers import UMT5Config, UMT5EncoderModel

from models.weights import FLOAT32_ISLANDS

Module = TypeVar("Module", bound=torch.nn.Module)
TOKENS: Final = 512
_SPREAD: Final = 0.02
"""Standard deviation of the weights: what passes through 40 layers stays finite."""


@dataclass(frozen=True)
class Sizes:
    """Arguments of the constructors. `text_width`: of the embeddings between encoder and transformer."""

    transformer: dict[str, Any]
    text_encoder: dict[str, Any]
    vae: dict[str, Any]
    text_width: int


FULL: Final = Sizes(
    transformer={"num_attention_heads": 40, "attention_head_dim": 128, "ffn_dim": 13824, "num_layers": 40},
    text_encoder={"vocab_size": 256384, "d_kv": 64, "d_ff": 10240, "num_layers": 24, "num_heads": 64},
    vae={},
    text_width=4096,
)
"""Wan 2.2 image to video A14B, UMT5 XXL and the VAE of Wan 2.1."""
TINY: Final = Sizes(
    transformer={"num_attention_heads": 2, "attention_head_dim": 32, "ffn_dim": 64, "num_layers": 2},
    text_encoder={"vocab_size": 4096, "d_kv": 16, "d_ff": 64, "num_layers": 1, "num_heads": 2},
    vae={"base_dim": 8},
    text_width=32,
)


def transformer(
    sizes: Sizes, device: torch.device, dtype: torch.dtype, seed: int = 0
) -> WanTransformer3DModel:
    """An expert of Wan 2.2 image to video; what the engine keeps in float32 is float32."""
    with init_empty_weights():
        module = WanTransformer3DModel(in_channels=36, text_dim=sizes.text_width, **sizes.transformer)
    generator = torch.Generator(device).manual_seed(seed)
    for name, parameter in list(module.named_parameters()):
        kept = dtype if FLOAT32_ISLANDS.isdisjoint(name.split(".")) else torch.float32
        _put(module, name, _random(name, parameter.shape, kept, device, generator))
    return _ready(module, device)


def text_encoder(sizes: Sizes, device: torch.device, dtype: torch.dtype) -> UMT5EncoderModel:
    """UMT5."""
    config = UMT5Config(
        d_model=sizes.text_width,
        feed_forward_proj="gated-gelu",
        is_encoder_decoder=False,
        **sizes.text_encoder,
    )
    with init_empty_weights():
        module = UMT5EncoderModel(config)
    module.encoder.embed_tokens = module.shared
    generator = torch.Generator(device).manual_seed(0)
    for name, parameter in list(module.named_parameters()):
        _put(module, name, _random(name, parameter.shape, dtype, device, generator))
    return _ready(module, device)


def vae(sizes: Sizes, device: torch.device, dtype: torch.dtype) -> AutoencoderKLWan:
    """The autoencoder, with torch's own initial weights: its activations must not die out."""
    torch.manual_seed(0)
    module = AutoencoderKLWan(**sizes.vae).eval().requires_grad_(False)
    # torch's own way: that of diffusers comments on the type.
    moved: AutoencoderKLWan = torch.nn.Module.to(module, device, dtype)
    return moved


def twin(module: WanTransformer3DModel) -> WanTransformer3DModel:
    """Another module around the same weights: what is done to its forward leaves the first one alone."""
    with init_empty_weights():
        other = WanTransformer3DModel.from_config(module.config)
    other.load_state_dict(module.state_dict(), assign=True)
    return _ready(other, module.device)


def _random(
    name: str, shape: torch.Size, dtype: torch.dtype, device: torch.device, generator: torch.Generator
) -> torch.Tensor:
    if len(shape) == 1 and name.endswith("weight"):
        return torch.ones(shape, dtype=dtype, device=device)
    return torch.empty(shape, dtype=dtype, device=device).normal_(0, _SPREAD, generator=generator)


def _put(module: torch.nn.Module, name: str, value: torch.Tensor) -> None:
    owner, _, leaf = name.rpartition(".")
    setattr(module.get_submodule(owner), leaf, torch.nn.Parameter(value, requires_grad=False))


def _ready(module: Module, device: torch.device) -> Module:
    """Buffers are not made empty; they come along here."""
    return module.eval().requires_grad_(False).to(device)
