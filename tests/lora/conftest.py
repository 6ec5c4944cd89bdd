"""One LoRA for the tiny transformer, and every way in which trainers write it down."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from diffusers import WanTransformer3DModel

from models.lora import Shapes, shapes_of
from models.weights import load_transformer
from tests.tools.constructed import TINY

Tensors = dict[str, torch.Tensor]
RANK, ALPHA = 4, 2.0

LINEAR = {
    "blocks.0.attn1.to_q": "blocks.0.self_attn.q",
    "blocks.0.attn1.to_out.0": "blocks.0.self_attn.o",
    "blocks.1.attn2.to_k": "blocks.1.cross_attn.k",
    "blocks.1.attn2.to_v": "blocks.1.cross_attn.v",
    "blocks.1.ffn.net.0.proj": "blocks.1.ffn.0",
    "blocks.1.ffn.net.2": "blocks.1.ffn.2",
    "condition_embedder.time_embedder.linear_1": "time_embedding.0",
    "condition_embedder.time_embedder.linear_2": "time_embedding.2",
    "condition_embedder.text_embedder.linear_1": "text_embedding.0",
    "condition_embedder.text_embedder.linear_2": "text_embedding.2",
    "condition_embedder.time_proj": "time_projection.1",
    "proj_out": "head.head",
}
"""Layers of the LoRA: diffusers' name, Wan's name."""
DIFFS = {
    "patch_embedding.weight": "patch_embedding.diff",
    "patch_embedding.bias": "patch_embedding.diff_b",
    "blocks.0.attn1.to_q.bias": "blocks.0.self_attn.q.diff_b",
    "blocks.0.attn1.norm_q.weight": "blocks.0.self_attn.norm_q.diff",
    "blocks.1.norm2.weight": "blocks.1.norm3.diff",
    "blocks.1.norm2.bias": "blocks.1.norm3.diff_b",
    "blocks.1.scale_shift_table": "blocks.1.diff_m",
    "scale_shift_table": "head.diff_m",
}
"""Whole differences, as the lightx2v files have them beside the pairs."""


@pytest.fixture
def model() -> WanTransformer3DModel:
    return load_transformer(TINY / "transformer", dtype=torch.float32, device=torch.device("cpu"))


@pytest.fixture(scope="session")
def shapes() -> Shapes:
    return shapes_of(load_transformer(TINY / "transformer", dtype=torch.float32, device=torch.device("cpu")))


@pytest.fixture(scope="session")
def pairs(shapes: Shapes) -> dict[str, tuple[torch.Tensor, torch.Tensor]]:
    """Module -> (down, up)."""
    generator = torch.Generator().manual_seed(11)
    return {
        module: (
            torch.randn(RANK, shapes[f"{module}.weight"][1], generator=generator),
            torch.randn(shapes[f"{module}.weight"][0], RANK, generator=generator) * 0.1,
        )
        for module in LINEAR
    }


@pytest.fixture(scope="session")
def diffs(shapes: Shapes) -> Tensors:
    generator = torch.Generator().manual_seed(12)
    return {name: torch.randn(shapes[name], generator=generator) * 0.1 for name in DIFFS}


def expected(pairs: dict[str, tuple[torch.Tensor, torch.Tensor]], scale: float) -> Tensors:
    """Parameter -> what the pairs add to it."""
    return {f"{module}.weight": (up @ down) * scale for module, (down, up) in pairs.items()}


Writer = Callable[[str, str, torch.Tensor, torch.Tensor], Tensors]
"""(diffusers module, Wan module, down, up) -> the tensors of a file."""


def writer(
    spell: Callable[[str, str], str],
    down: str = ".lora_A.weight",
    up: str = ".lora_B.weight",
    alpha: bool = False,
) -> Writer:
    def write(module: str, wan: str, a: torch.Tensor, b: torch.Tensor) -> Tensors:
        base = spell(module, wan)
        tensors = {base + down: a, base + up: b}
        return tensors | ({f"{base}.alpha": torch.tensor(ALPHA)} if alpha else {})

    return write


KOHYA = (".lora_down.weight", ".lora_up.weight")
PEFT = (".lora_A.default.weight", ".lora_B.default.weight")
DIALECTS: dict[str, tuple[Writer, bool]] = {
    "transformer.": (writer(lambda d, w: f"transformer.{d}"), False),
    "bare diffusers": (writer(lambda d, w: d), False),
    "diffusers with alpha": (writer(lambda d, w: f"transformer.{d}", alpha=True), True),
    "old diffusers": (
        writer(lambda d, w: f"transformer.{d}", ".lora.down.weight", ".lora.up.weight"),
        False,
    ),
    "diffusion_model. A/B": (writer(lambda d, w: f"diffusion_model.{w}"), False),
    "diffusion_model. down/up": (writer(lambda d, w: f"diffusion_model.{w}", *KOHYA), False),
    "diffusion_model. down/up alpha": (
        writer(lambda d, w: f"diffusion_model.{w}", *KOHYA, alpha=True),
        True,
    ),
    "model.diffusion_model.": (writer(lambda d, w: f"model.diffusion_model.{w}"), False),
    "DiffSynth and SVI": (writer(lambda d, w: w, *PEFT), False),
    "original names": (writer(lambda d, w: w), False),
    "original names down/up alpha": (writer(lambda d, w: w, *KOHYA, alpha=True), True),
    "pipe.dit.": (writer(lambda d, w: f"pipe.dit.{w}", *PEFT), False),
    "base_model.model.": (writer(lambda d, w: f"base_model.model.{w}"), False),
    "base_model.model. diffusers": (writer(lambda d, w: f"base_model.model.transformer.{d}"), False),
    "musubi": (writer(lambda d, w: "lora_unet_" + w.replace(".", "_"), *KOHYA, alpha=True), True),
    "musubi without alpha": (writer(lambda d, w: "lora_unet_" + w.replace(".", "_"), *KOHYA), False),
    "kohya": (writer(lambda d, w: "lora_unet__" + w.replace(".", "_"), *KOHYA, alpha=True), True),
    "underscored diffusers": (writer(lambda d, w: "lora_unet_" + d.replace(".", "_"), *KOHYA), False),
    "lycoris": (writer(lambda d, w: "lycoris_" + w.replace(".", "_"), *KOHYA, alpha=True), True),
}
"""Name -> (writer, whether it writes an alpha)."""
