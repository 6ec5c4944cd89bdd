"""Weights that stay packed, in the engine: the same clip, less memory, where that helps or is asked for."""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file

from headless.engine.loading import make_recipe, part_sizes
from headless.engine.plans import WEIGHTS, WORKING_BYTES, check_weights, stays_packed
from headless.engine.wan import WanEngine
from headless.errors import UsageError
from headless.segment import Clip, LoraUse
from headless.settings import worker_settings
from headless.worker_options import WEIGHTS as OFFERED
from models.registry import Registry
from tests.engine.conftest import Heard, ScriptedAllocator, frames_of, picture, request
from tests.tools.constructed import CONSTRUCTED, TINY

CPU = torch.device("cpu")
MODEL = "wan_tiny_i2v"
ASKED = request(width=32, height=32, num_frames=5, start_image=picture(32, 32))
SIZES = {"high": 9, "low": 9, "text_encoder": 4}
SMALLER = {"high": 5, "low": 5, "text_encoder": 4}


def quantised(folder: Path, role: str) -> None:
    """The tiny model's role as a folder whose matrices are 8-bit, as quanto writes them."""
    shutil.copytree(TINY / role, folder / role)
    path = folder / role / "diffusion_pytorch_model.safetensors"
    written: dict[str, torch.Tensor] = {}
    for name, tensor in load_file(path).items():
        if not (name.startswith("blocks.") and name.endswith(".weight") and tensor.dim() == 2):
            written[name] = tensor
            continue
        scale = tensor.float().abs().amax(dim=1, keepdim=True).clamp_min(1e-6) / 127
        written[f"{name}._data"] = (tensor.float() / scale).round().to(torch.int8)
        written[f"{name}._scale"] = scale
    save_file(written, path)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A models folder in which the tiny model's experts are packed."""
    place = tmp_path_factory.mktemp("models")
    (place / "tiny").mkdir()
    for role in ("transformer", "transformer_2"):
        quantised(place / "tiny", role)
    for role in ("vae", "text_encoder", "tokenizer"):
        (place / "tiny" / role).symlink_to(TINY / role)
    return place


@pytest.fixture(scope="module")
def lora(tmp_path_factory: pytest.TempPathFactory) -> LoraUse:
    """For one packed layer of the high-noise expert."""
    torch.manual_seed(0)
    path = tmp_path_factory.mktemp("loras") / "style.safetensors"
    target = "transformer.blocks.0.attn1.to_v"
    shapes = {"lora_A": (2, 160), "lora_B": (160, 2)}
    save_file({f"{target}.{part}.weight": torch.randn(shape) for part, shape in shapes.items()}, path)
    return LoraUse("style.safetensors", path, ((1.0,), (0.0,)))


def made(engine: WanEngine, *loras: LoraUse) -> tuple[Clip, Mapping[str, Any]]:
    generation = engine.generate(request(**{**vars(ASKED), "loras": loras}), Heard())
    return frames_of(generation), generation.details


@pytest.mark.parametrize("memory", ["resident", "swap", "stream"])
def test_the_same_clip_with_and_without_loras(
    registry: Registry, folder: Path, lora: LoraUse, memory: str
) -> None:
    engines = {
        weights: WanEngine(registry, [folder], device="cpu", memory=memory, weights=weights)
        for weights in ("packed", "unpacked")
    }
    plain, told = made(engines["unpacked"])
    assert "weights" not in told
    styled, _ = made(engines["unpacked"], lora)
    assert not np.array_equal(plain, styled)
    for loras, expected in (((), plain), ((lora,), styled), ((), plain)):
        found, told = made(engines["packed"], *loras)
        assert np.array_equal(found, expected)
        assert (told["memory"], told["weights"]) == (memory, "packed")
    assert engines["packed"].memory_told(MODEL) == {"memory": memory, "weights": "packed"}


def test_auto_keeps_them_packed_where_that_saves_a_rung(registry: Registry, folder: Path) -> None:
    recipe = make_recipe(MODEL, registry.definition(MODEL).model_def, [folder], CPU)
    unpacked, packed = sum(part_sizes(recipe).values()), sum(part_sizes(recipe, packed=True).values())
    assert packed < unpacked
    told = {}
    for room in (unpacked + 1, packed + 1, packed - 1):
        allocator = ScriptedAllocator([], WORKING_BYTES + room)
        engine = WanEngine(registry, [folder], device="cpu", allocator=allocator)
        engine.load(MODEL, Heard())
        told[room] = engine.memory_told(MODEL)
    assert told[unpacked + 1] == {"memory": "resident"}
    assert told[packed + 1] == {"memory": "resident", "weights": "packed"}
    assert told[packed - 1] == {"memory": "swap"}, "packed would not spare this rung"


def test_files_that_are_not_packed_are_not_told_to_be(registry: Registry) -> None:
    engine = WanEngine(registry, [CONSTRUCTED], device="cpu", weights="packed")
    engine.load(MODEL, Heard())
    assert engine.memory_told(MODEL) == {"memory": "resident"}


@pytest.mark.parametrize(
    ("asked", "plan", "free", "packed"),
    [
        ("auto", "auto", None, False),
        ("auto", "auto", 23, False),
        ("auto", "auto", 15, True),
        ("auto", "auto", 10, False),
        ("auto", "auto", 6, True),
        ("auto", "auto", 2, False),
        ("auto", "swap", 6, False),
        ("packed", "swap", None, True),
        ("unpacked", "auto", 6, False),
    ],
)
def test_who_decides(asked: str, plan: str, free: int | None, packed: bool) -> None:
    room = None if free is None else free + WORKING_BYTES
    assert stays_packed(asked, plan, SIZES, SMALLER, room) is packed


@pytest.mark.parametrize(
    ("asked", "plan", "ranks", "says"),
    [
        ("tight", "auto", 1, "--weights is 'tight'; legal values are auto, unpacked, packed"),
        ("packed", "mmgp:3", 1, "does not go with --memory mmgp:3"),
        ("packed", "auto", 2, "torchrun started 2"),
    ],
)
def test_what_does_not_go_together_is_refused(asked: str, plan: str, ranks: int, says: str) -> None:
    with pytest.raises(UsageError, match=says):
        check_weights(asked, plan, ranks)


def test_the_command_line_offers_them() -> None:
    assert OFFERED == WEIGHTS
    assert worker_settings(["--local", "queue", "--weights", "packed"], {}).weights == "packed"
    assert worker_settings(["--local", "queue"], {"HEADLESS_WEIGHTS": "unpacked"}).weights == "unpacked"
