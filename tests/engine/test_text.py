"""Prompts: cleaned, padded to 512 tokens, remembered by content."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from transformers import UMT5EncoderModel

from headless.engine.memory import Resident
from headless.engine.text import KEPT_PROMPTS, TOKENS, TextEncoder, cleaned, load_tokenizer
from models.errors import WeightsError
from models.weights import load_text_encoder
from tests.engine.conftest import ROOT

TINY = ROOT / "models" / "tiny"
CPU = torch.device("cpu")


@pytest.fixture(scope="module")
def encoder() -> UMT5EncoderModel:
    return load_text_encoder(TINY / "text_encoder", dtype=torch.float32, device=CPU)


@pytest.fixture
def text(encoder: UMT5EncoderModel) -> TextEncoder:
    memory = Resident({"text": encoder}, CPU)
    return TextEncoder(load_tokenizer(TINY / "tokenizer"), memory, "text", CPU)


@pytest.mark.parametrize("prompt", ["", "a cat", "word " * 2000, "\u732b \U0001f431"])
def test_always_512_tokens(text: TextEncoder, prompt: str) -> None:
    embedded = text.encode(prompt)
    assert embedded.shape == (1, TOKENS, 32)
    assert torch.isfinite(embedded).all()


def test_zeros_follow_the_prompt(text: TextEncoder) -> None:
    length = len(load_tokenizer(TINY / "tokenizer").encode("a cat").ids)
    embedded = text.encode("a cat")
    assert embedded[0, :length].abs().sum(dim=1).min() > 0
    assert not embedded[0, length:].any()


def test_padding_before_or_after_the_encoder_is_the_same(
    text: TextEncoder, encoder: UMT5EncoderModel
) -> None:
    ids = load_tokenizer(TINY / "tokenizer").encode("a dark sea").ids
    padded = torch.tensor([ids + [0] * (TOKENS - len(ids))])
    mask = (torch.arange(TOKENS) < len(ids)).long()[None]
    reference = encoder(padded, mask).last_hidden_state[0, : len(ids)]
    assert torch.allclose(text.encode("a dark sea")[0, : len(ids)], reference, atol=1e-5)


def test_a_long_prompt_still_ends_with_the_end_mark() -> None:
    ids = load_tokenizer(TINY / "tokenizer").encode("word " * 2000).ids
    assert len(ids) == TOKENS
    assert ids[-1] == 1


def test_entities_and_white_space_are_cleaned() -> None:
    assert cleaned("  a &amp;lt; b\n\n c ") == "a < b c"


def test_the_same_text_is_encoded_once(text: TextEncoder) -> None:
    assert text.encode("a  cat ") is text.encode("a cat")
    assert text.encode("a cat") is not text.encode("a dog")


def test_the_oldest_prompts_are_forgotten(text: TextEncoder) -> None:
    first = text.encode("first")
    for number in range(KEPT_PROMPTS):
        text.encode(f"number {number}")
    assert text.encode("first") is not first
    assert torch.equal(text.encode("first"), first)


def test_a_missing_or_broken_tokenizer_is_named(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match=r"tokenizer\.json does not exist"):
        load_tokenizer(tmp_path)
    (tmp_path / "tokenizer.json").write_text("{}")
    with pytest.raises(WeightsError, match=r"is not a tokenizer\.json"):
        load_tokenizer(tmp_path)
