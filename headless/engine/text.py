"""Prompts to embeddings: exactly 512 tokens, whatever the prompt's length."""

from __future__ import annotations

import html
import re
from pathlib import Path
from typing import Final

import torch
from tokenizers import Tokenizer
from torch import Tensor

from headless.engine.memory import Memory
from headless.engine.prompt_cache import PromptCache
from models.errors import WeightsError

TOKENS: Final = 512
"""Every Wan model was trained with prompts padded to this length."""


def load_tokenizer(path: Path) -> Tokenizer:
    """A tokenizer from a tokenizer.json or the folder that holds one. Raises `FileNotFoundError`."""
    file = path / "tokenizer.json" if path.is_dir() else path
    if not file.is_file():
        raise FileNotFoundError(f"{file} does not exist")
    try:
        tokenizer = Tokenizer.from_file(str(file))
    except Exception as error:  # the library raises bare Exception
        raise WeightsError(f"{file} is not a tokenizer.json: {error}") from error
    tokenizer.no_padding()
    tokenizer.enable_truncation(TOKENS)
    return tokenizer


def cleaned(prompt: str) -> str:
    """The prompt as Wan was trained on it: HTML entities resolved, white space collapsed."""
    return re.sub(r"\s+", " ", html.unescape(html.unescape(prompt))).strip()


class TextEncoder:
    """Encodes prompts with the UMT5 encoder of `memory`, unless `cache` has them.

    `identity` tells this encoder from others in the cache.
    """

    def __init__(
        self,
        tokenizer: Tokenizer,
        memory: Memory,
        part: str,
        device: torch.device,
        *,
        cache: PromptCache,
        identity: str = "",
    ) -> None:
        self._tokenizer = tokenizer
        self._memory = memory
        self._part = part
        self._device = device
        self._cache = cache
        self._identity = identity

    def encode(self, prompt: str) -> Tensor:
        """[1, 512, d] in the encoder's precision: the prompt's tokens, then zeros."""
        text = cleaned(prompt)
        return self._cache.get(self._identity, text, lambda: self._encode(text)).to(self._device)

    def _encode(self, text: str) -> Tensor:
        tokens = torch.tensor([self._tokenizer.encode(text).ids], device=self._device)
        encoder = self._memory.use(self._part)
        states: Tensor = encoder(tokens, torch.ones_like(tokens)).last_hidden_state
        return torch.cat([states, states.new_zeros(1, TOKENS - states.shape[1], states.shape[2])], dim=1)
