"""Prompts: cleaned, padded to 512 tokens, remembered by content."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
import structlog
import torch
from transformers import UMT5EncoderModel

from headless.engine import prompt_cache
from headless.engine.memory import Resident
from headless.engine.prompt_cache import KEPT_PROMPTS, PromptCache, file_identity
from headless.engine.text import TOKENS, TextEncoder, cleaned, load_tokenizer
from models.errors import WeightsError
from models.weights import load_text_encoder
from tests.tools.constructed import TINY

CPU = torch.device("cpu")


@pytest.fixture(scope="module")
def encoder() -> UMT5EncoderModel:
    return load_text_encoder(TINY / "text_encoder", dtype=torch.float32, device=CPU)


@pytest.fixture
def text(encoder: UMT5EncoderModel) -> TextEncoder:
    memory = Resident({"text": encoder}, CPU)
    return TextEncoder(load_tokenizer(TINY / "tokenizer"), memory, "text", CPU, cache=PromptCache())


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


def never() -> torch.Tensor:
    raise AssertionError("must not be encoded")


def test_another_process_finds_an_embedding_on_disk(tmp_path: Path) -> None:
    made = torch.randn(1, 4, 2)
    first = PromptCache(tmp_path / "prompts").get("umt5", "a cat", lambda: made)
    assert torch.equal(PromptCache(tmp_path / "prompts").get("umt5", "a cat", never), first)
    for encoder, text in (("other", "a cat"), ("umt5", "a dog")):
        with pytest.raises(AssertionError, match="must not be encoded"):
            PromptCache(tmp_path / "prompts").get(encoder, text, never)


def test_a_damaged_file_is_made_anew(tmp_path: Path) -> None:
    PromptCache(tmp_path).get("umt5", "a cat", lambda: torch.zeros(1))
    (file,) = tmp_path.iterdir()
    whole = file.read_bytes()
    file.write_bytes(whole[:-2])
    with structlog.testing.capture_logs() as logged:
        assert torch.equal(PromptCache(tmp_path).get("umt5", "a cat", lambda: torch.zeros(1)), torch.zeros(1))
    assert [line["log_level"] for line in logged] == ["warning"]
    assert file.read_bytes() == whole


def test_a_folder_that_cannot_be_written_costs_no_task(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    with structlog.testing.capture_logs() as logged:
        found = PromptCache(tmp_path / "file" / "prompts").get("umt5", "a cat", lambda: torch.ones(1))
    assert torch.equal(found, torch.ones(1))
    assert "cannot be kept on disk" in logged[0]["event"]


def test_the_oldest_files_are_removed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(prompt_cache, "KEPT_FILES", 2)
    cache = PromptCache(tmp_path)
    for number in range(3):
        cache.get("umt5", f"number {number}", lambda: torch.zeros(1))
        newest = max(tmp_path.iterdir(), key=lambda file: file.stat().st_mtime_ns)
        os.utime(newest, ns=(number, number))
    assert len(list(tmp_path.iterdir())) == 2
    PromptCache(tmp_path).get("umt5", "number 2", never)


def test_an_encoder_is_known_by_its_files(tmp_path: Path) -> None:
    (tmp_path / "a").write_text("x")
    before = file_identity(tmp_path)
    assert file_identity(tmp_path) == before
    (tmp_path / "a").write_text("longer")
    assert file_identity(tmp_path) != before
    assert file_identity(tmp_path / "a") == file_identity(tmp_path)


def test_a_missing_or_broken_tokenizer_is_named(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match=r"tokenizer\.json does not exist"):
        load_tokenizer(tmp_path)
    (tmp_path / "tokenizer.json").write_text("{}")
    with pytest.raises(WeightsError, match=r"is not a tokenizer\.json"):
        load_tokenizer(tmp_path)
