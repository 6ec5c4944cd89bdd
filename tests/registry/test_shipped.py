"""The definitions that come with the product are whole and say what they promise."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from models.definition import ROLES
from models.lora_files import lora_file_name
from models.registry import Registry, load_models_def

ROOT = Path(__file__).resolve().parents[2]
CONFIGS = ROOT / "configs"


@pytest.fixture(scope="module")
def registry() -> Registry:
    return load_models_def(CONFIGS)


def test_every_file_is_usable_and_every_key_is_read(registry: Registry) -> None:
    assert registry.names() == tuple(sorted(path.stem for path in CONFIGS.glob("*.json")))
    assert dict(registry.broken) == {}
    assert registry.warnings == ()


def test_the_promised_models_are_there(registry: Registry) -> None:
    promised = {
        "i2v_2_2",
        "i2v_2_2_svi2pro",
        "wan_2_2_i2v_lightning_svi_3_3",
        "wan_2_2_i2v_lightning_baseline_2_2_2",
        "i2v_480p",
        "i2v_720p",
        "flf2v_720p",
        "t2v",
        "t2v_1.3B",
        "t2v_2_2",
        "wan_tiny_i2v",
        "wan_tiny_i2v_svi2pro",
        "wan_tiny_i2v_lightning",
    }
    assert promised <= set(registry.names())


@pytest.mark.parametrize(
    ("model", "svi2pro"),
    [
        ("i2v_2_2", None),
        ("i2v_2_2_svi2pro", True),
        ("wan_2_2_i2v_lightning_svi_3_3", True),
        ("wan_2_2_i2v_lightning_baseline_2_2_2", None),
        ("wan_tiny_i2v", None),
        ("wan_tiny_i2v_svi2pro", True),
    ],
)
def test_which_models_set_svi2pro(registry: Registry, model: str, svi2pro: bool | None) -> None:
    assert registry.models_def[model].get("svi2pro") is svi2pro


def test_the_lightning_presets_are_the_base_pair_with_loras(registry: Registry) -> None:
    base = registry.models_def["i2v_2_2"]
    for id_ in ("i2v_2_2_svi2pro", "wan_2_2_i2v_lightning_svi_3_3", "wan_2_2_i2v_lightning_baseline_2_2_2"):
        model = registry.models_def[id_]
        assert {key: model[key] for key in ("URLs", "URLs2", "files")} == {
            key: base[key] for key in ("URLs", "URLs2", "files")
        }
        assert len(model["loras"]) == len(model["loras_multipliers"])
        assert all(lora_file_name(url) for url in model["loras"])


def test_the_splits_of_the_lightning_presets(registry: Registry) -> None:
    svi = registry.definition("wan_2_2_i2v_lightning_svi_3_3").settings
    assert (svi["steps"], svi["steps_per_phase"], svi["guidance_phases"]) == (6, [3, 3], 2)
    baseline = registry.definition("wan_2_2_i2v_lightning_baseline_2_2_2").settings
    assert (baseline["steps"], baseline["steps_per_phase"], baseline["guidance_phases"]) == (6, [2, 2, 2], 3)
    assert (baseline["switch_threshold"], baseline["switch_threshold2"]) == (883, 558)


@pytest.mark.parametrize(
    ("model", "steps", "shift", "guidance", "boundary"),
    [
        ("t2v", 50, 5.0, (5.0, None), None),
        ("t2v_1.3B", 50, 8.0, (6.0, None), None),
        ("t2v_2_2", 40, 12.0, (4.0, 3.0), 875),
    ],
)
def test_text_to_video_as_its_makers_recommend(
    registry: Registry,
    model: str,
    steps: int,
    shift: float,
    guidance: tuple[float, float | None],
    boundary: int | None,
) -> None:
    definition = registry.definition(model)
    told = definition.settings
    assert (told["steps"], told["flow_shift"], told.get("boundary")) == (steps, shift, boundary)
    assert (told["guidance_scale"], told.get("guidance_scale_2")) == guidance
    pair = boundary is not None
    assert ("transformer_2" in definition.model_def["files"]) is pair
    assert ("URLs2" in definition.model_def) is pair
    assert not {"image_encoder", "image_processor"} & set(definition.model_def["files"])


def test_repositories_are_pinned_to_commits(registry: Registry) -> None:
    """One commit per repository, whole: an abbreviated one could come to mean another."""
    commits: dict[str, set[str]] = {}
    for model in registry.models_def.values():
        if "repository" in model:
            assert re.fullmatch(r"[0-9a-f]{40}", model["revision"])
            commits.setdefault(model["repository"], set()).add(model["revision"])
    assert {len(found) for found in commits.values()} == {1}


def test_the_tiny_models_come_with_their_files_and_without_output_checks(registry: Registry) -> None:
    for id_ in ("wan_tiny_i2v", "wan_tiny_i2v_svi2pro", "wan_tiny_i2v_lightning"):
        model = registry.models_def[id_]
        for name in model.get("loras", ()):
            assert (ROOT / "models" / "loras" / name).exists(), name
        assert model["output_checks"] is False
        assert set(model["files"]) == set(ROLES) - {"image_encoder", "image_processor"}
        for place in model["files"].values():
            assert (ROOT / "models" / place).exists(), place


def test_the_tiny_model_is_small_and_finite() -> None:
    files = [
        path for name in ("tiny", "loras") for path in (ROOT / "models" / name).rglob("*") if path.is_file()
    ]
    assert sum(path.stat().st_size for path in files) < 25_000_000
    weights = [path for path in files if path.suffix == ".safetensors"]
    assert len(weights) == 8
    for path in weights:
        for name, tensor in load_file(path).items():
            assert torch.isfinite(tensor).all(), f"{path} {name}"


def test_only_public_model_hosts_are_named() -> None:
    for path in CONFIGS.glob("*.json"):
        text = path.read_text(encoding="utf-8")
        assert text.count("http") == text.count("https://huggingface.co/"), path.name
        assert json.loads(text)["model"]["description"], path.name
