"""Reading a Wan VAE from whatever file or folder holds it."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from accelerate import init_empty_weights
from diffusers.models.autoencoders.autoencoder_kl_wan import AutoencoderKLWan
from safetensors import SafetensorError, safe_open
from torch import Tensor

from models.errors import WeightsError
from models.vae_config import checked_config, inferred_config, statistics
from models.vae_names import diffusers_names

WEIGHTS_NAME = "diffusion_pytorch_model.safetensors"
_PICKLES = (".pth", ".pt", ".ckpt", ".bin", ".pkl")
_PICKLE_MAGIC = (b"PK\x03\x04", b"\x80\x02", b"\x80\x03", b"\x80\x04", b"\x80\x05")
_DTYPES = (torch.float32, torch.float16, torch.bfloat16)


def load_autoencoder(path: Path, *, dtype: torch.dtype, device: torch.device) -> AutoencoderKLWan:
    """The autoencoder in `dtype` on `device`, ready to run. Every tensor of the file is used.

    `path`: a single safetensors file, or a diffusers folder (or one with a `vae/`). Raises `WeightsError`.
    """
    folder = path / "vae" if (path / "vae").is_dir() else path
    files = _weight_files(folder) if path.is_dir() else (path,)
    tensors, metadata = _read(files, dtype, device)
    settings = folder / "config.json"
    if path.is_dir() and settings.is_file():
        config = checked_config(json.loads(settings.read_text(encoding="utf-8")))
    else:
        config = inferred_config({name: tuple(tensor.shape) for name, tensor in tensors.items()})
        config |= statistics(metadata, config["z_dim"])
    with init_empty_weights():
        module = AutoencoderKLWan(**config)
    _check_complete(path, module.state_dict(), tensors)
    module.load_state_dict(tensors, strict=True, assign=True)
    return module.eval().requires_grad_(False)


def _weight_files(folder: Path) -> tuple[Path, ...]:
    if (folder / WEIGHTS_NAME).is_file():
        return (folder / WEIGHTS_NAME,)
    index = folder / f"{WEIGHTS_NAME}.index.json"
    if index.is_file():
        shards = json.loads(index.read_text(encoding="utf-8"))["weight_map"].values()
        return tuple(folder / shard for shard in sorted(set(shards)))
    found = sorted(folder.glob("*.safetensors")) or sorted(
        p for p in folder.iterdir() if p.suffix in _PICKLES
    )
    if len(found) != 1:
        listed = ", ".join(file.name for file in found) or "none"
        raise WeightsError(f"{folder}: one safetensors file is needed, found {listed}; name the file itself")
    return (found[0],)


def _read(
    files: tuple[Path, ...], dtype: torch.dtype, device: torch.device
) -> tuple[dict[str, Tensor], Mapping[str, str]]:
    tensors: dict[str, Tensor] = {}
    metadata: dict[str, str] = {}
    for file in files:
        _refuse_pickle(file)
        try:
            with safe_open(file, framework="pt", device=str(device)) as opened:
                metadata |= opened.metadata() or {}
                for old, new in diffusers_names(opened.keys()).items():
                    tensors[new] = _converted(file, old, opened.get_tensor(old), dtype)
        except (SafetensorError, FileNotFoundError) as damaged:
            raise WeightsError(f"{file} is absent or damaged ({damaged}); fetch it again") from damaged
    return tensors, metadata


def _converted(file: Path, name: str, tensor: Tensor, dtype: torch.dtype) -> Tensor:
    if tensor.dtype not in _DTYPES:
        raise WeightsError(
            f"{file}: {name} is {tensor.dtype}; a VAE in float32, float16 or bfloat16 is needed"
        )
    return tensor.to(dtype)


def _refuse_pickle(file: Path) -> None:
    """Unpickling runs whatever code the file holds, so such files are never opened here."""
    if not file.is_file():
        raise WeightsError(f"{file} does not exist; give a safetensors file or a diffusers folder")
    with file.open("rb") as opened:
        magic = opened.read(4)
    if file.suffix not in _PICKLES and not magic.startswith(_PICKLE_MAGIC):
        return
    target = file.with_suffix(".safetensors")
    raise WeightsError(
        f"{file} is a pickle, which could run code; convert it once with: "
        f'python -c "import torch; from safetensors.torch import save_file; '
        f"save_file({{k: v.contiguous() for k, v in torch.load('{file}', weights_only=True, "
        f"map_location='cpu').items()}}, '{target}')\""
    )


def _check_complete(path: Path, wanted: Mapping[str, Any], found: Mapping[str, Tensor]) -> None:
    absent = sorted(set(wanted) - set(found))
    unknown = sorted(set(found) - set(wanted))
    misshapen = sorted(n for n in set(wanted) & set(found) if wanted[n].shape != found[n].shape)
    for what, names in (("absent", absent), ("not part of a VAE", unknown), ("of a wrong shape", misshapen)):
        if names:
            raise WeightsError(f"{path}: {len(names)} tensors are {what}, for example {', '.join(names[:3])}")
