"""A text-to-video task through a whole worker, on the shipped definition and tiny random weights."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from diffusers import WanTransformer3DModel

from tests.tools.constructed import TINY
from tests.worker.place import Place

SMALL = {"num_attention_heads": 1, "attention_head_dim": 32, "num_layers": 1, "ffn_dim": 32, "text_dim": 32}


@pytest.fixture
def weights(tmp_path: Path) -> Path:
    """A models folder with the pair where its definition looks for it."""
    folder = tmp_path / "models"
    model = folder / "Wan2.2-T2V-A14B-Diffusers"
    model.mkdir(parents=True)
    torch.manual_seed(0)
    for role in ("transformer", "transformer_2"):
        WanTransformer3DModel(in_channels=16, **SMALL).save_pretrained(model / role)
    for role in ("vae", "text_encoder", "tokenizer"):
        (model / role).symlink_to(TINY / role)
    return folder


def test_a_pair_makes_a_clip_of_a_prompt(tmp_path: Path, weights: Path) -> None:
    place = Place(tmp_path / "place")
    params = place.job(model="t2v_2_2", steps=4, output_checks=False)
    del params["start_image"]
    task = place.enqueue(params)
    assert place.work("--models-dir", str(weights), "--device", "cpu", engine="wan") == 0
    told = place.result(task)
    details = told["engine"]
    assert details["expert_steps"] == {"high": 3, "low": 1}
    assert details["forwards"] == 8, "every step is guided"
    assert details["svi2pro"] is False
    assert place.stored(task, "video.mp4").stat().st_size > 0


def test_a_picture_is_refused_without_loading_anything(tmp_path: Path) -> None:
    """There are no weights here, and nobody misses them."""
    place = Place(tmp_path / "place")
    task = place.enqueue(place.job(model="t2v_2_2"))
    assert place.work("--device", "cpu", engine="wan") == 0
    assert "start_image is given, and t2v_2_2 makes videos of text only" in str(
        place.view(task).error_message
    )
