"""One name per parameter: the spellings of Wan checkpoints mapped to those of diffusers and transformers."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from typing import Final

_CONTAINERS: Final = re.compile(r"^(model\.diffusion_model\.|diffusion_model\.|transformer\.|model\.)")
"""What ComfyUI and trainers put in front of every name."""

_TRANSFORMER: Final = (
    (r"^time_embedding\.0\.", "condition_embedder.time_embedder.linear_1."),
    (r"^time_embedding\.2\.", "condition_embedder.time_embedder.linear_2."),
    (r"^time_projection\.1\.", "condition_embedder.time_proj."),
    (r"^text_embedding\.0\.", "condition_embedder.text_embedder.linear_1."),
    (r"^text_embedding\.2\.", "condition_embedder.text_embedder.linear_2."),
    (r"^img_emb\.emb_pos$", "condition_embedder.image_embedder.pos_embed"),
    (r"^img_emb\.proj\.0\.", "condition_embedder.image_embedder.norm1."),
    (r"^img_emb\.proj\.1\.", "condition_embedder.image_embedder.ff.net.0.proj."),
    (r"^img_emb\.proj\.3\.", "condition_embedder.image_embedder.ff.net.2."),
    (r"^img_emb\.proj\.4\.", "condition_embedder.image_embedder.norm2."),
    (r"^head\.modulation$", "scale_shift_table"),
    (r"^head\.head\.", "proj_out."),
    (r"^(blocks\.\d+)\.modulation$", r"\1.scale_shift_table"),
    (r"^(blocks\.\d+)\.norm3\.", r"\1.norm2."),
    (r"^(blocks\.\d+)\.ffn\.0\.", r"\1.ffn.net.0.proj."),
    (r"^(blocks\.\d+)\.ffn\.2\.", r"\1.ffn.net.2."),
    (r"^(blocks\.\d+)\.self_attn\.", r"\1.attn1."),
    (r"^(blocks\.\d+)\.cross_attn\.", r"\1.attn2."),
    (r"^(blocks\.\d+\.attn[12])\.([qkv])\.", r"\1.to_\2."),
    (r"^(blocks\.\d+\.attn[12])\.o\.", r"\1.to_out.0."),
    (r"^(blocks\.\d+\.attn2)\.([kv])_img\.", r"\1.add_\2_proj."),
    (r"^(blocks\.\d+\.attn2)\.norm_k_img\.", r"\1.norm_added_k."),
)

_T5_BLOCK: Final = r"encoder.block.\1.layer"
_UMT5: Final = (
    (r"^token_embedding\.weight$", "shared.weight"),
    (r"^norm\.weight$", "encoder.final_layer_norm.weight"),
    (r"^blocks\.(\d+)\.attn\.([qkvo])\.", _T5_BLOCK + r".0.SelfAttention.\2."),
    (r"^blocks\.(\d+)\.pos_embedding\.embedding\.", _T5_BLOCK + ".0.SelfAttention.relative_attention_bias."),
    (r"^blocks\.(\d+)\.norm1\.", _T5_BLOCK + ".0.layer_norm."),
    (r"^blocks\.(\d+)\.norm2\.", _T5_BLOCK + ".1.layer_norm."),
    (r"^blocks\.(\d+)\.ffn\.gate\.0\.", _T5_BLOCK + ".1.DenseReluDense.wi_0."),
    (r"^blocks\.(\d+)\.ffn\.fc1\.", _T5_BLOCK + ".1.DenseReluDense.wi_1."),
    (r"^blocks\.(\d+)\.ffn\.fc2\.", _T5_BLOCK + ".1.DenseReluDense.wo."),
    (r"^token_embd\.weight$", "shared.weight"),
    (r"^enc\.output_norm\.", "encoder.final_layer_norm."),
    (r"^enc\.blk\.(\d+)\.attn_([qkvo])\.", _T5_BLOCK + r".0.SelfAttention.\2."),
    (r"^enc\.blk\.(\d+)\.attn_rel_b\.", _T5_BLOCK + ".0.SelfAttention.relative_attention_bias."),
    (r"^enc\.blk\.(\d+)\.attn_norm\.", _T5_BLOCK + ".0.layer_norm."),
    (r"^enc\.blk\.(\d+)\.ffn_norm\.", _T5_BLOCK + ".1.layer_norm."),
    (r"^enc\.blk\.(\d+)\.ffn_gate\.", _T5_BLOCK + ".1.DenseReluDense.wi_0."),
    (r"^enc\.blk\.(\d+)\.ffn_up\.", _T5_BLOCK + ".1.DenseReluDense.wi_1."),
    (r"^enc\.blk\.(\d+)\.ffn_down\.", _T5_BLOCK + ".1.DenseReluDense.wo."),
)


def transformer_name(name: str) -> str:
    """A transformer parameter's name in diffusers' spelling; names already so spelt stay as they are."""
    return _rename(_CONTAINERS.sub("", name), _TRANSFORMER)


def umt5_name(name: str) -> str:
    """A text encoder parameter's name in transformers' spelling."""
    return _rename(name, _UMT5)


CLIP_IDLE: Final = "visual_projection.weight"
"""What files of CLIP's vision encoder may also hold, and nothing here reads."""


def clip_vision_name(name: str) -> str:
    """A CLIP vision encoder's parameter as transformers' `CLIPVisionModel` calls it today."""
    return name.removeprefix("vision_model.")


def by_parameter(names: Iterable[str], rename: Callable[[str], str]) -> Mapping[str, str]:
    """Parameter name -> the name in the file. Raises `ValueError` where two tensors claim one parameter."""
    found: dict[str, str] = {}
    for name in names:
        parameter = rename(name)
        if parameter in found:
            raise ValueError(f"{found[parameter]} and {name} are both {parameter}")
        found[parameter] = name
    return found


def _rename(name: str, rules: tuple[tuple[str, str], ...]) -> str:
    for pattern, replacement in rules:
        name = re.sub(pattern, replacement, name)
    return name
