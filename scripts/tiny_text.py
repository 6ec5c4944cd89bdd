"""The tiny model's text side: a seeded UMT5 encoder and a hand-written Unigram tokenizer of the same kind."""

from __future__ import annotations

import math
import string

import numpy as np
from tokenizers import AddedToken, Tokenizer, decoders, models, normalizers, pre_tokenizers, processors
from transformers import UMT5Config, UMT5EncoderModel

from scripts.tiny_random import fill_uniform
from scripts.tiny_transformer import TEXT_DIM

WORDS = """
a the of in on and with to from at by is over under slow fast camera moves pans zooms left right up
down in out woman man child dog cat bird tree river sea sky sun moon city street car train mountain
forest snow rain wind light dark bright red green blue white black golden smiles walks runs dances
turns looks waves flies cinematic realistic video scene close shot wide blurry static worst quality
low still picture overexposed
"""


def build_tokenizer() -> Tokenizer:
    """The constructed model's tokenizer."""
    return tokenizer_of(WORDS)


def tokenizer_of(words: str) -> Tokenizer:
    """Whole words where known, else characters, else bytes; texts end with `</s>` as T5's do."""
    entries = [("<pad>", 0.0), ("</s>", 0.0), ("<unk>", 0.0)]
    entries += [(f"<0x{byte:02X}>", -20.0) for byte in range(256)]
    entries += [(char, -8.0) for char in "▁" + string.ascii_letters + string.digits + string.punctuation]
    entries += [(f"▁{word}", -4.0) for word in sorted(set(words.split())) if len(word) > 1]
    tokenizer = Tokenizer(models.Unigram(entries, unk_id=2, byte_fallback=True))
    tokenizer.normalizer = normalizers.Sequence([normalizers.NFKC()])
    tokenizer.pre_tokenizer = pre_tokenizers.Metaspace()
    tokenizer.decoder = decoders.Metaspace()
    tokenizer.post_processor = processors.TemplateProcessing("$A </s>", special_tokens=[("</s>", 1)])
    tokenizer.add_special_tokens([AddedToken(token, special=True) for token in ("<pad>", "</s>", "<unk>")])
    return tokenizer


def build_text_encoder(rng: np.random.Generator, vocabulary: int) -> UMT5EncoderModel:
    """A UMT5 encoder in float32: gated GELU, relative attention bias in every layer."""
    config = UMT5Config(
        vocab_size=vocabulary,
        d_model=TEXT_DIM,
        d_kv=8,
        d_ff=64,
        num_layers=2,
        num_heads=4,
        is_encoder_decoder=False,
        tie_word_embeddings=True,
        feed_forward_proj="gated-gelu",
    )
    encoder = UMT5EncoderModel(config).eval().requires_grad_(False)
    for name, parameter in encoder.named_parameters():
        if "layer_norm" in name:
            parameter.fill_(1.0)
        else:
            fan_in = 1 if "shared" in name or "relative" in name else math.prod(parameter.shape[1:])
            fill_uniform(parameter, rng, 1 / math.sqrt(fan_in))
    return encoder
