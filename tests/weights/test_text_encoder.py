"""Text encoders in Hugging Face's and in Wan's spelling."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file
from transformers import UMT5EncoderModel

from models.errors import WeightsError
from models.weights import load_text_encoder
from tests.tools.constructed import TINY
from tests.weights.conftest import Tensors, wan_t5_name

IDS = torch.tensor([[5, 300, 17, 1]])


def load(path: Path) -> UMT5EncoderModel:
    return load_text_encoder(path, dtype=torch.float32, device=torch.device("cpu"))


@pytest.fixture(scope="module")
def reference(tmp_path_factory: pytest.TempPathFactory) -> UMT5EncoderModel:
    """What transformers reads from the same folder."""
    folder = tmp_path_factory.mktemp("t5") / "encoder"
    shutil.copytree(TINY / "text_encoder", folder)
    encoder: UMT5EncoderModel = UMT5EncoderModel.from_pretrained(folder, dtype=torch.float32)
    return encoder


def assert_same(ours: UMT5EncoderModel, theirs: UMT5EncoderModel) -> None:
    a, b = ours.state_dict(), theirs.state_dict()
    assert a.keys() == b.keys()
    assert all(torch.equal(a[name], b[name]) for name in a)
    # Not bit for bit: kernels round differently where a reader's memory is aligned differently.
    assert torch.allclose(ours(IDS).last_hidden_state, theirs(IDS).last_hidden_state, atol=1e-5)


def test_the_shipped_folder(reference: UMT5EncoderModel) -> None:
    assert_same(load(TINY / "text_encoder"), reference)


@pytest.mark.parametrize("wan", [False, True])
def test_single_files(tmp_path: Path, text_tensors: Tensors, reference: UMT5EncoderModel, wan: bool) -> None:
    tensors = {wan_t5_name(name) if wan else name: t for name, t in text_tensors.items()}
    save_file(tensors, tmp_path / "t5.safetensors")
    assert_same(load(tmp_path / "t5.safetensors"), reference)


def test_a_copy_of_the_embedding_and_the_vocabulary_do_no_harm(
    tmp_path: Path, text_tensors: Tensors, reference: UMT5EncoderModel
) -> None:
    extra = {
        "encoder.embed_tokens.weight": text_tensors["shared.weight"].clone(),
        "spiece_model": torch.zeros(4),
    }
    save_file(text_tensors | extra, tmp_path / "t5.safetensors")
    assert_same(load(tmp_path / "t5.safetensors"), reference)


def test_embeddings_are_held_once() -> None:
    encoder = load_text_encoder(TINY / "text_encoder", dtype=torch.bfloat16, device=torch.device("cpu"))
    assert encoder.encoder.embed_tokens.weight is encoder.shared.weight
    assert {p.dtype for p in encoder.parameters()} == {torch.bfloat16}


def test_another_network_is_refused(tmp_path: Path, transformer_tensors: Tensors) -> None:
    save_file(transformer_tensors, tmp_path / "m.safetensors")
    with pytest.raises(WeightsError, match="no such model"):
        load(tmp_path / "m.safetensors")
