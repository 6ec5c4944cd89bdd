"""Reading a Wan VAE from whatever file or folder holds it."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from accelerate import init_empty_weights
from diffusers.models.autoencoders.autoencoder_kl_wan import AutoencoderKLWan

from models.errors import WeightsError
from models.safetensors_header import read_header
from models.vae_config import checked_config, inferred_config, statistics
from models.vae_names import diffusers_names
from models.weights_source import TensorSource, open_source, refuse_quantised

SUBFOLDER = "vae"
"""Where a folder with a whole pipeline keeps its VAE."""

DTYPES = (torch.float32, torch.bfloat16, torch.float16, torch.float64)
"""What the VAE computes in."""


def load_autoencoder(path: Path, *, dtype: torch.dtype, device: torch.device) -> AutoencoderKLWan:
    """The autoencoder in `dtype` on `device`, ready to run. Every tensor of the file is used.

    `path`: a single safetensors file, a diffusers folder, or a pipeline's folder that has it as `vae/`.
    Raises `FileNotFoundError` where a file is absent, `WeightsError` for anything else that is wrong with it.
    """
    if dtype not in DTYPES:
        legal = ", ".join(str(known) for known in DTYPES)
        raise WeightsError(f"dtype is {dtype}; a VAE runs in {legal}")
    source = open_source(path / SUBFOLDER if (path / SUBFOLDER).is_dir() else path)
    refuse_quantised(source)
    stored = {new: old for old, new in diffusers_names(source.infos).items()}
    shapes = {new: source.infos[old].shape for new, old in stored.items()}
    with init_empty_weights():
        module = AutoencoderKLWan(**_config(source, shapes))
    _check_complete(source.path, module, shapes)
    new_names = {old: new for new, old in stored.items()}
    tensors = {new_names[old]: tensor.to(device, dtype) for old, tensor in source.read(list(stored.values()))}
    module.load_state_dict(tensors, strict=True, assign=True)
    return module.eval().requires_grad_(False)


def _config(source: TensorSource, shapes: Mapping[str, tuple[int, ...]]) -> dict[str, Any]:
    if source.config is not None:
        return checked_config(source.config)
    config = inferred_config(shapes)
    metadata = read_header(source.path).metadata if source.path.is_file() else {}
    return config | statistics(metadata, config["z_dim"])


def _check_complete(path: Path, module: AutoencoderKLWan, found: Mapping[str, tuple[int, ...]]) -> None:
    wanted = {name: tuple(tensor.shape) for name, tensor in module.state_dict().items()}
    wrong = {
        "absent": wanted.keys() - found.keys(),
        "not part of a Wan VAE": found.keys() - wanted.keys(),
        "of a wrong shape": {name for name in wanted.keys() & found.keys() if wanted[name] != found[name]},
    }
    for what, names in wrong.items():
        if names:
            some = ", ".join(sorted(names)[:3])
            raise WeightsError(f"{path}: {len(names)} tensors are {what}, for example {some}")
