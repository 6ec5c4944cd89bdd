"""Random networks as files: a model that the engine and diffusers load as they would a published one."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Final

import torch

from benchmarks.gpu.networks import Sizes, text_encoder, transformer, vae

MODEL: Final = "random"
TOKENIZER: Final = Path(__file__).resolve().parents[2] / "models" / "tiny" / "tokenizer"


def write(folder: Path, sizes: Sizes, device: torch.device, dtype: torch.dtype) -> None:
    """Weights made on the device, and a definition.

    Both experts are one file: it is read twice, and takes the memory of two.
    """
    transformer(sizes, device, dtype).save_pretrained(folder / "transformer")
    text_encoder(sizes, device, dtype).save_pretrained(folder / "text_encoder")
    vae(sizes, device, dtype).save_pretrained(folder / "vae")
    shutil.copytree(TOKENIZER, folder / "tokenizer")
    files = {role: role for role in ("transformer", "vae", "text_encoder", "tokenizer")}
    section = {
        "name": "Random weights",
        "architecture": "i2v_2_2",
        "files": files | {"transformer_2": "transformer"},
    }
    precision = "bf16" if dtype is torch.bfloat16 else "fp32"
    definition = {"model": section, "boundary": 900, "vae_precision": precision}
    (folder / "configs").mkdir()
    (folder / "configs" / f"{MODEL}.json").write_text(json.dumps(definition), encoding="utf-8")


def bytes_of(folder: Path) -> int:
    """Of all files."""
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())
