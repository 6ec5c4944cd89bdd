"""Models of other shapes through the same engine: one expert, text to video, what cannot run yet."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from diffusers import WanTransformer3DModel

from headless.engine.wan import WanEngine
from headless.errors import BadParams, ModelMissing, UsageError
from models.registry import load_models_def
from tests.engine.conftest import Heard, frames_of, picture, request
from tests.tools.constructed import TINY

SMALL = {"num_attention_heads": 1, "attention_head_dim": 32, "num_layers": 1, "ffn_dim": 32, "text_dim": 32}
Make = Callable[..., WanEngine]


@pytest.fixture
def make(tmp_path: Path) -> Make:
    """An engine with one model, `other`, of one random transformer."""

    def engine(settings: dict[str, Any] | None = None, **config: object) -> WanEngine:
        torch.manual_seed(0)
        WanTransformer3DModel(**SMALL, **config).save_pretrained(tmp_path / "transformer")
        files = {role: str(TINY / role) for role in ("vae", "text_encoder", "tokenizer")}
        section = {"name": "Other", "architecture": "t2v", "files": {"transformer": "transformer", **files}}
        (tmp_path / "configs").mkdir(exist_ok=True)
        definition = {"model": section, "vae_precision": "fp32", **(settings or {})}
        (tmp_path / "configs" / "other.json").write_text(json.dumps(definition))
        return WanEngine(load_models_def(tmp_path / "configs"), [tmp_path, Path("/")], device="cpu")

    return engine


def test_text_to_video_with_one_expert(make: Make) -> None:
    generation = make(in_channels=16).generate(request(model="other", start_image=None), Heard())
    assert frames_of(generation).shape == (9, 64, 64, 3)
    assert generation.details["expert_steps"] == {"high": 4}
    assert generation.end_frame_mode == "none"


def test_text_to_video_refuses_pictures(make: Make) -> None:
    with pytest.raises(BadParams, match="end_image: other makes videos of text only"):
        make(in_channels=16).generate(request(model="other", start_image=None, end_image=picture()), Heard())


def test_image_to_video_with_one_expert(make: Make) -> None:
    generation = make(in_channels=36, out_channels=16).generate(request(model="other"), Heard())
    assert frames_of(generation).shape == (9, 64, 64, 3)


def test_models_that_read_clip_embeddings_need_an_image_encoder(make: Make) -> None:
    with pytest.raises(ModelMissing, match="its definition names no image_encoder"):
        make(in_channels=36, out_channels=16, image_dim=1280).load("other", Heard())


def test_a_vae_in_half_precision(make: Make) -> None:
    engine = make({"vae_precision": "bf16"}, in_channels=36, out_channels=16)
    generation = engine.generate(request(model="other", num_frames=5), Heard())
    assert frames_of(generation).shape == (5, 64, 64, 3)
    assert generation.details["vae_dtype"] == "bfloat16"


def test_a_new_definition_of_the_same_model_is_taken_over(make: Make, tmp_path: Path) -> None:
    engine = make(in_channels=16)
    engine.load("other", Heard())
    engine._registry.models_def["other"]["note"] = "new"
    engine.load("other", Heard())
    assert engine.model_def["note"] == "new"


def test_damaged_weights_are_the_machines_fault_and_leave_nothing_loaded(make: Make, tmp_path: Path) -> None:
    engine = make(in_channels=16)
    file = tmp_path / "transformer" / "diffusion_pytorch_model.safetensors"
    file.write_bytes(file.read_bytes()[:-4])
    with pytest.raises(ModelMissing, match="Get it again"):
        engine.load("other", Heard())
    assert (engine.loaded_model, engine.model_def) == (None, {})


def test_a_tokenizer_that_went_away_is_named(make: Make, tmp_path: Path) -> None:
    engine = make(in_channels=16)
    section = engine._registry.models_def["other"]
    shutil.copytree(TINY / "vae", tmp_path / "empty")
    section["files"]["tokenizer"] = "empty"
    with pytest.raises(ModelMissing, match=r"tokenizer\.json does not exist\. Put the file there"):
        engine.load("other", Heard())


def test_an_unknown_vae_precision_is_refused(make: Make) -> None:
    engine = make(in_channels=16)
    engine._registry.models_def["other"]["settings"]["vae_precision"] = "fp4"
    with pytest.raises(UsageError, match="legal values are bf16, fp32"):
        engine.load("other", Heard())


def test_a_switch_of_models_releases_the_first(make: Make) -> None:
    engine = make(in_channels=16)
    engine.load("other", Heard())
    first = engine._in_memory()
    engine._registry.models_def["second"] = json.loads(json.dumps(engine._registry.models_def["other"]))
    engine._registry.models_def["second"]["files"]["transformer"] = str(TINY / "transformer")
    heard = Heard()
    engine.load("second", heard)
    assert heard.phases != []
    generation = engine.generate(request(model="second", start_image=None, num_frames=5), Heard())
    switch = generation.details["model_switch"]
    assert (switch["from"], switch["to"]) == ("other", "second")
    engine.load("second", Heard())
    kept = engine.generate(request(model="second", start_image=None, num_frames=5), Heard())
    assert "model_switch" not in kept.details
    assert engine._in_memory() is not first
    assert engine.loaded_model == "second"
