"""Trained networks as files: 16-bit safetensors and a config.json, as any other model has them."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

import torch
from safetensors.torch import save_file
from torch import Tensor

STEM: Final = "diffusion_pytorch_model"


def save_network(folder: Path, module: torch.nn.Module, config: Mapping[str, Any], stem: str = STEM) -> None:
    """Write the weights and `config`. Tied weights are written once."""
    folder.mkdir(parents=True, exist_ok=True)
    kept = getattr(module, "_keep_in_fp32_modules", None) or []
    tensors = {
        name: _stored(tensor, whole=any(part in name.split(".") for part in kept))
        for name, tensor in module.state_dict().items()
        if name != "encoder.embed_tokens.weight"
    }
    write_tensors(folder / f"{stem}.safetensors", tensors)
    fields = {"_class_name": type(module).__name__, **config}
    (folder / "config.json").write_text(json.dumps(fields, indent=1, sort_keys=True) + "\n", encoding="utf-8")


def write_tensors(path: Path, tensors: Mapping[str, Tensor], **metadata: str) -> None:
    """A safetensors file that everyone may read; the library gives it to its owner alone.

    One field of metadata at most: the library writes several in any order, and equal runs make equal files.
    """
    save_file(dict(tensors), path, metadata=metadata or {"format": "pt"})
    path.chmod(0o644)


def _stored(tensor: Tensor, *, whole: bool) -> Tensor:
    return tensor.detach().to(torch.float32 if whole else torch.float16).contiguous()
