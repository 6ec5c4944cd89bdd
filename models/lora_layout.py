"""What a LoRA file is by the look of its keys: which tool's dialect, or which other kind of thing."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Final

_DIALECTS: Final = (
    ("kohya (lora_unet__)", r"^lora_unet__"),
    ("musubi or kohya (lora_unet_)", r"^lora_unet_"),
    ("LyCORIS (lycoris_)", r"^lycoris_"),
    ("peft (base_model.model.)", r"^base_model\.model\."),
    ("DiffSynth (pipe.dit.)", r"^(pipe\.)?dit\."),
    ("ComfyUI (model.diffusion_model.)", r"^model\.diffusion_model\."),
    ("ComfyUI (diffusion_model.)", r"^diffusion_model\."),
    ("diffusers (transformer.)", r"^transformer\."),
    (
        "DiffSynth and SVI training (blocks., named adapter)",
        r"^[a-z_]+\..*\.lora_[AB]\.(?!weight$)\w+\.weight$",
    ),
    (
        "diffusers' names without a prefix",
        r"\.attn[12]\.|\.ffn\.net\.|^condition_embedder\.|^proj_out\.|\.norm2\.",
    ),
    ("Wan's own names", r"^(blocks|time_|text_|img_|head|patch_)"),
)
_PARTS: Final = (
    ("lora_A/lora_B", r"\.lora_A"),
    ("lora_down/lora_up", r"\.lora_down"),
    ("lora.down/lora.up", r"\.lora\.down"),
    ("LoKr", r"\.lokr_"),
    ("alpha", r"\.alpha$"),
    ("whole differences", r"\.diff(_[bm])?$"),
)
_FOREIGN: Final = (
    ("a DoRA", r"\.(dora_scale|lora_magnitude_vector)(\.|$)"),
    ("a LoHa", r"\.hada_(w[12]|t[12])"),
    ("a LoKr with a Tucker core", r"\.lokr_t2$"),
    ("an OFT or BOFT", r"\.(oft|boft)_|\.oft_(blocks|diag|R)"),
    ("a GLoRA", r"\.[ab][12]\.weight$"),
    ("an (IA)3", r"\.on_input$|\.ia3_l"),
    ("a VeRA", r"\.vera_lambda"),
    ("a LoRA with a mid tensor (CP decomposition)", r"\.lora_mid\.weight$"),
    ("a LoRA of a text encoder", r"^(lora_te\d?_|text_encoder)"),
    ("a LoRA for Flux, HunyuanVideo or another network of double blocks", r"(double|single)_blocks[._]"),
    ("a LoRA for Stable Diffusion", r"(down_blocks|up_blocks|mid_block|input_blocks|output_blocks)[._]"),
    ("a LoRA for LTX, Qwen-Image, CogVideoX or Flux", r"(^|[._])transformer_blocks[._]"),
    ("a LoRA of a VACE module", r"vace_(blocks|patch_embedding)[._]"),
    ("a LoRA of a control adapter", r"(controlnet|control_adapter)[._]"),
)


def layout_of(keys: Iterable[str]) -> str:
    """The dialect in words, for people."""
    listed = list(keys)
    dialect = _first(_DIALECTS, listed) or "unknown"
    parts = [name for name, pattern in _PARTS if any(re.search(pattern, key) for key in listed)]
    return f"{dialect}: {', '.join(parts)}" if parts else dialect


def foreign(keys: Iterable[str]) -> tuple[str, str] | None:
    """What else the file is if it is no LoRA that can be loaded, and the key that gives it away."""
    for name, pattern in _FOREIGN:
        for key in keys:
            if re.search(pattern, key):
                return name, key
    return None


def is_whole_model(keys: Iterable[str]) -> bool:
    """Whether these are the tensors of a network rather than changes to one."""
    listed = list(keys)
    plain = [key for key in listed if re.search(r"(?<!lora_A)(?<!lora_B)\.(weight|bias|modulation)$", key)]
    return bool(plain) and not any(re.search(r"lora|lokr|\.diff(_|$)", key) for key in listed)


def _first(rules: tuple[tuple[str, str], ...], keys: list[str]) -> str | None:
    for name, pattern in rules:
        if any(re.search(pattern, key) for key in keys):
            return name
    return None
