"""Make tests/data/constructed: a complete Wan 2.2 style model that costs next to nothing to run.

    python -m scripts.make_tiny_model [FOLDER]

Nothing in it is trained; the tiny model that is trained lies in models/tiny.
The same files come out on every machine, byte for byte: all numbers are NumPy's seeded uniform doubles,
put in place by fixed rules (see tiny_vae, tiny_transformer, tiny_text), and stored in bfloat16.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import numpy as np
import torch
from diffusers import WanTransformer3DModel
from safetensors.torch import save_file

from scripts import tiny_text, tiny_transformer, tiny_vae

SEED = 20260
CONSTRUCTED = Path(__file__).resolve().parent.parent / "tests" / "data" / "constructed" / "tiny"


def make(folder: Path) -> None:
    """Write the whole model into `folder`."""
    with torch.no_grad():
        _make_transformers(folder)
        vae = tiny_vae.build_vae(_rng("vae"))
        _save(folder / "vae", vae, "AutoencoderKLWan", tiny_vae.CONFIG)
        _make_text(folder)
    factors, bias = tiny_vae.latent_to_rgb()
    _write_json(folder / "vae" / "latent_rgb.json", {"factors": factors, "bias": bias})


def _make_transformers(folder: Path) -> None:
    for name, step in (("transformer", 1.2), ("transformer_2", 1.8)):
        model = tiny_transformer.build_transformer(_rng(name), step)
        _save(folder / name, model, "WanTransformer3DModel", tiny_transformer.CONFIG)


def _make_text(folder: Path) -> None:
    tokenizer = tiny_text.build_tokenizer()
    encoder = tiny_text.build_text_encoder(_rng("text_encoder"), tokenizer.get_vocab_size())
    fields = ("vocab_size", "d_model", "d_kv", "d_ff", "num_layers", "num_heads", "feed_forward_proj")
    config = {field: getattr(encoder.config, field) for field in fields}
    _save(folder / "text_encoder", encoder, "UMT5EncoderModel", {"model_type": "umt5", **config}, "model")
    (folder / "tokenizer").mkdir(parents=True, exist_ok=True)
    tokenizer.save(str(folder / "tokenizer" / "tokenizer.json"))


def _rng(part: str) -> np.random.Generator:
    return np.random.Generator(np.random.PCG64([SEED, *part.encode()]))


def _save(
    folder: Path,
    module: torch.nn.Module,
    kind: str,
    config: dict[str, Any],
    stem: str = "diffusion_pytorch_model",
) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    islands = set(WanTransformer3DModel._keep_in_fp32_modules) if kind == "WanTransformer3DModel" else set()
    tensors = {
        name: tensor.to(torch.float32 if islands & set(name.split(".")) else torch.bfloat16).contiguous()
        for name, tensor in module.state_dict().items()
        if name != "encoder.embed_tokens.weight"
    }
    save_file(tensors, folder / f"{stem}.safetensors", metadata={"format": "pt"})
    _write_json(folder / "config.json", {"_class_name": kind, **config})


def _write_json(path: Path, content: dict[str, Any]) -> None:
    path.write_text(json.dumps(content, indent=1, sort_keys=True) + "\n", encoding="utf-8")


if __name__ == "__main__":
    make(Path(sys.argv[1]) if len(sys.argv) > 1 else CONSTRUCTED)
