"""Train the tiny UMT5 text encoder: from its mean token one must be able to tell what a scene holds.

python -m training.text [--out models/tiny] [--work out/training]
"""

from __future__ import annotations

import argparse
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import torch
from tokenizers import Tokenizer
from torch import Tensor
from torch.nn import functional
from transformers import UMT5Config, UMT5EncoderModel

from scripts.tiny_text import WORDS, tokenizer_of
from training.loop import Plan, train
from training.store import save_network
from training.world import BACKGROUNDS, COLOURS, Motion, Scene, Shape, make_scene

SEED: Final = 2
WIDTH: Final = 64
SIZES: Final = {
    "d_model": WIDTH,
    "d_kv": 16,
    "d_ff": 128,
    "num_layers": 2,
    "num_heads": 4,
    "feed_forward_proj": "gated-gelu",
}
PLAN: Final = Plan(steps=500, rate=2e-3, warm_up=30, save_every=100)
BATCH: Final = 64
QUESTIONS: Final[Mapping[str, Sequence[str]]] = {
    "shape": list(Shape),
    "colour": list(COLOURS),
    "becomes": list(COLOURS),
    "background": list(BACKGROUNDS),
    "motion": list(Motion),
}
"""Attributes of a scene, and what each can be."""


def world_words() -> str:
    """Every word that a prompt of the world can hold."""
    names = (*Shape, *COLOURS, *BACKGROUNDS, *Motion, "a and turns over background")
    return " ".join(str(name) for name in names)


def build_tokenizer() -> Tokenizer:
    """The words of the world and some common ones, else characters, else bytes."""
    return tokenizer_of(f"{WORDS} {world_words()}")


def new_encoder(vocabulary: int) -> UMT5EncoderModel:
    """An untrained encoder, always the same."""
    config = UMT5Config(
        vocab_size=vocabulary, is_encoder_decoder=False, tie_word_embeddings=True, dropout_rate=0.0, **SIZES
    )
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(SEED)
        return UMT5EncoderModel(config).eval()


def new_heads() -> torch.nn.ModuleDict:
    """One linear classifier per question; they are thrown away afterwards."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(SEED)
        return torch.nn.ModuleDict(
            {name: torch.nn.Linear(WIDTH, len(answers)) for name, answers in QUESTIONS.items()}
        )


def batch_of(tokenizer: Tokenizer, scenes: list[Scene]) -> tuple[Tensor, Tensor]:
    """Token numbers and mask, [b, longest]."""
    rows = [tokenizer.encode(scene.prompt).ids for scene in scenes]
    longest = max(map(len, rows))
    tokens = torch.tensor([row + [0] * (longest - len(row)) for row in rows])
    mask = torch.tensor([[1] * len(row) + [0] * (longest - len(row)) for row in rows])
    return tokens, mask


def loss_of(encoder: Any, heads: torch.nn.ModuleDict, tokenizer: Tokenizer, scenes: list[Scene]) -> Tensor:
    """Cross entropy over all questions."""
    tokens, mask = batch_of(tokenizer, scenes)
    states = encoder(tokens, mask).last_hidden_state
    pooled = (states * mask[:, :, None]).sum(1) / mask.sum(1, keepdim=True)
    losses = []
    for name, answers in QUESTIONS.items():
        right = torch.tensor([list(map(str, answers)).index(str(getattr(scene, name))) for scene in scenes])
        losses.append(functional.cross_entropy(heads[name](pooled), right))
    return torch.stack(losses).mean()


def run(out: Path, work: Path, plan: Plan = PLAN, *, stop_at: int | None = None) -> None:
    """Train, or go on training, and write `out`/text_encoder and `out`/tokenizer."""
    tokenizer = build_tokenizer()
    encoder, heads = new_encoder(tokenizer.get_vocab_size()), new_heads()
    parameters = {**dict(encoder.named_parameters()), **dict(heads.named_parameters(prefix="heads"))}

    def loss(step: int) -> Tensor:
        scenes = [make_scene(step * BATCH + i) for i in range(BATCH)]
        return loss_of(encoder, heads, tokenizer, scenes)

    average = train(parameters, loss, plan, work / "text.pt", stop_at=stop_at)
    state = {name: tensor for name, tensor in average.items() if not name.startswith("heads.")}
    encoder.load_state_dict(state, strict=False)
    config = {"model_type": "umt5", "vocab_size": tokenizer.get_vocab_size(), **SIZES}
    save_network(out / "text_encoder", encoder, config, "model")
    (out / "tokenizer").mkdir(parents=True, exist_ok=True)
    tokenizer.save(str(out / "tokenizer" / "tokenizer.json"))


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, default=Path("models/tiny"))
    parser.add_argument("--work", type=Path, default=Path("out/training"))
    options = parser.parse_args()
    run(options.out, options.work)


if __name__ == "__main__":
    main()
