"""The real models' spelling and sizes, without their weights."""

from __future__ import annotations

import torch
from accelerate import init_empty_weights
from diffusers import WanTransformer3DModel

from models.weights_config import transformer_config
from models.weights_names import transformer_name
from tests.weights.conftest import wan_name

FLF = {
    "in_channels": 36,
    "num_layers": 1,
    "image_dim": 1280,
    "added_kv_proj_dim": 5120,
    "pos_embed_seq_len": 514,
}


def shapes(**config: object) -> dict[str, tuple[int, ...]]:
    with init_empty_weights():
        model = WanTransformer3DModel(**config)
    return {name: tuple(p.shape) for name, p in model.named_parameters()}


def test_sizes_of_the_14b_models_are_read_off_the_shapes() -> None:
    found = transformer_config(shapes(in_channels=36, num_layers=2))
    assert found["num_attention_heads"] == 40
    assert (found["in_channels"], found["out_channels"], found["ffn_dim"]) == (36, 16, 13824)
    assert (found["text_dim"], found["freq_dim"], found["num_layers"]) == (4096, 256, 2)
    assert "image_dim" not in found


def test_sizes_of_the_first_last_frame_model() -> None:
    found = transformer_config(shapes(**FLF))
    assert {name: found[name] for name in FLF} == FLF


def test_every_name_comes_back_from_wans_own_spelling() -> None:
    for name in shapes(in_channels=36, num_layers=2):
        assert transformer_name(wan_name(name)) == name


def test_names_of_the_image_branch() -> None:
    for wan, ours in {
        "img_emb.emb_pos": "condition_embedder.image_embedder.pos_embed",
        "img_emb.proj.0.weight": "condition_embedder.image_embedder.norm1.weight",
        "img_emb.proj.1.weight": "condition_embedder.image_embedder.ff.net.0.proj.weight",
        "img_emb.proj.3.bias": "condition_embedder.image_embedder.ff.net.2.bias",
        "img_emb.proj.4.bias": "condition_embedder.image_embedder.norm2.bias",
        "blocks.0.cross_attn.k_img.weight": "blocks.0.attn2.add_k_proj.weight",
        "blocks.0.cross_attn.v_img.bias": "blocks.0.attn2.add_v_proj.bias",
        "blocks.0.cross_attn.norm_k_img.weight": "blocks.0.attn2.norm_added_k.weight",
    }.items():
        assert transformer_name(wan) == ours
        assert ours in shapes(**FLF) or "norm_added" in ours


def test_the_module_has_these_islands() -> None:
    with torch.device("meta"):
        assert WanTransformer3DModel._keep_in_fp32_modules
