"""Keys of LoRA files: which parameter of the transformer each one is about, in every trainer's spelling.

A key is PREFIX + MODULE + PART. Prefixes are stripped, modules are looked up under all their names, parts say
what the tensor does. Whatever does not fit is unknown, and an unknown key is never skipped.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from enum import StrEnum
from typing import Final


class Part(StrEnum):
    """What a tensor of a LoRA file does to its parameter."""

    DOWN = "down"
    UP = "up"
    UP_BIAS = "up_bias"
    ALPHA = "alpha"
    DIFF = "diff"
    W1 = "lokr_w1"
    W1_A = "lokr_w1_a"
    W1_B = "lokr_w1_b"
    W2 = "lokr_w2"
    W2_A = "lokr_w2_a"
    W2_B = "lokr_w2_b"


_PREFIXES: Final = re.compile(
    r"^(?:(?:base_model\.model|model\.diffusion_model|diffusion_model|transformer|pipe\.dit|dit)\."
    r"|lora_unet__?|lycoris_)+"
)
_ADAPTER: Final = r"(?:\.[A-Za-z_]\w*)?"
"""peft puts the adapter's name (`default`) before `.weight`."""
_PARTS: Final = (
    (re.compile(rf"\.(?:lora_B|lora_up){_ADAPTER}\.bias$"), "bias", Part.UP_BIAS),
    (re.compile(rf"\.(?:lora_A|lora_down|lora\.down){_ADAPTER}(?:\.weight)?$"), "weight", Part.DOWN),
    (re.compile(rf"\.(?:lora_B|lora_up|lora\.up){_ADAPTER}(?:\.weight)?$"), "weight", Part.UP),
    (re.compile(r"\.alpha$"), "weight", Part.ALPHA),
    (re.compile(r"\.diff$"), "weight", Part.DIFF),
    (re.compile(r"\.diff_b$"), "bias", Part.DIFF),
    (re.compile(r"\.diff_m$"), "scale_shift_table", Part.DIFF),
    (re.compile(r"\.lokr_w1$"), "weight", Part.W1),
    (re.compile(r"\.lokr_w1_a$"), "weight", Part.W1_A),
    (re.compile(r"\.lokr_w1_b$"), "weight", Part.W1_B),
    (re.compile(r"\.lokr_w2$"), "weight", Part.W2),
    (re.compile(r"\.lokr_w2_a$"), "weight", Part.W2_A),
    (re.compile(r"\.lokr_w2_b$"), "weight", Part.W2_B),
)

_BLOCK: Final = re.compile(r"^blocks\.\d+\.")
_TO_WAN: Final = (
    (r"^condition_embedder\.time_embedder\.linear_1$", "time_embedding.0"),
    (r"^condition_embedder\.time_embedder\.linear_2$", "time_embedding.2"),
    (r"^condition_embedder\.time_proj$", "time_projection.1"),
    (r"^condition_embedder\.text_embedder\.linear_1$", "text_embedding.0"),
    (r"^condition_embedder\.text_embedder\.linear_2$", "text_embedding.2"),
    (r"^condition_embedder\.image_embedder\.norm1$", "img_emb.proj.0"),
    (r"^condition_embedder\.image_embedder\.ff\.net\.0\.proj$", "img_emb.proj.1"),
    (r"^condition_embedder\.image_embedder\.ff\.net\.2$", "img_emb.proj.3"),
    (r"^condition_embedder\.image_embedder\.norm2$", "img_emb.proj.4"),
    (r"^$", "head"),
    (r"^proj_out$", "head.head"),
    (r"^(blocks\.\d+)\.norm2$", r"\1.norm3"),
    (r"^(blocks\.\d+)\.ffn\.net\.0\.proj$", r"\1.ffn.0"),
    (r"^(blocks\.\d+)\.ffn\.net\.2$", r"\1.ffn.2"),
    (r"^(blocks\.\d+)\.attn1\.", r"\1.self_attn."),
    (r"^(blocks\.\d+)\.attn2\.", r"\1.cross_attn."),
    (r"_attn\.to_([qkv])$", r"_attn.\1"),
    (r"_attn\.to_out\.0$", "_attn.o"),
    (r"_attn\.add_([kv])_proj$", r"_attn.\1_img"),
    (r"_attn\.norm_added_k$", "_attn.norm_k_img"),
)


def module_names(parameters: Iterable[str]) -> Mapping[str, str]:
    """Every spelling of a module that owns one of the parameters -> its name in diffusers' spelling."""
    names: dict[str, str] = {}
    spelt: dict[str, str] = {}
    for module in dict.fromkeys(parameter.rpartition(".")[0] for parameter in parameters):
        for spelling in (module, _spelt(module, spelt)):
            names[spelling] = names[spelling.replace(".", "_")] = module
    return names


def _spelt(module: str, known: dict[str, str]) -> str:
    """`wan_module`, asked once for the layers of the same kind in all blocks; `known` remembers."""
    block = _BLOCK.match(module)
    if block is None:
        return wan_module(module)
    layer = module[block.end() :]
    if layer not in known:
        known[layer] = wan_module(f"blocks.0.{layer}").removeprefix("blocks.0.")
    return f"{block[0]}{known[layer]}"


def wan_module(module: str) -> str:
    """A module of diffusers' transformer as Wan's own checkpoints call it."""
    for pattern, replacement in _TO_WAN:
        module = re.sub(pattern, replacement, module)
    return module


def parse_key(key: str, modules: Mapping[str, str]) -> tuple[str, Part] | None:
    """The parameter that a key is about and its part, or None if either is unknown."""
    for pattern, leaf, part in _PARTS:
        found = pattern.search(key)
        if found is None:
            continue
        module = modules.get(_PREFIXES.sub("", key[: found.start()]))
        if module is None:
            return None
        return (f"{module}.{leaf}" if module else leaf), part
    return None
