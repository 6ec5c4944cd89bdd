"""Every stage of the training runs, and one that was ended in the middle goes on as if it had not been."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import TypeAlias

import pytest
import torch

from models.lora_inspect import inspect_lora
from models.vae import WanVae
from models.weights import load_transformer
from models.weights_networks import Network
from training import experts, latents, lightning_lora, svi_lora, text, vae
from training.experts import EXPERTS
from training.loop import Plan

STEPS, STOP = 4, 2
SHORT = Plan(STEPS, 1e-3, warm_up=1, save_every=3, muon=True)
FEW = 160
"""Tokens of a batch."""
Stage: TypeAlias = Callable[[Path, Path, int | None], object]


@pytest.fixture(autouse=True)
def _one_thread() -> None:
    """The order of sums depends on the number of threads."""
    torch.set_num_threads(1)


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder in which every stage has run for a few steps: `tiny`, `loras`, `work`."""
    folder = tmp_path_factory.mktemp("training")
    for stage in STAGES.values():
        stage(folder, folder / "work", None)
    return folder


def _vae(folder: Path, work: Path, stop_at: int | None) -> None:
    stages = (vae.Stage(2, 2, (1,), 32), vae.Stage(STEPS - 2, 1, (5,), 32))
    vae.run(folder / "tiny", work, stages, half=True, clips=2, stop_at=stop_at)


def _text(folder: Path, work: Path, stop_at: int | None) -> None:
    text.run(folder / "tiny", work, SHORT, stop_at=stop_at)


def _latents(folder: Path, work: Path, stop_at: int | None) -> None:
    latents.fit_colours(folder / "tiny", clips=1)
    latents.run(folder / "tiny", work, shards=1 if stop_at else 2, scenes=5)


def _expert(name: str) -> Stage:
    expert = replace(EXPERTS[name], plan=SHORT)
    return lambda folder, work, stop_at: experts.run(
        expert, folder / "tiny", work, tokens=FEW, stop_at=stop_at
    )


def _svi(folder: Path, work: Path, stop_at: int | None) -> None:
    high = EXPERTS["high"]
    svi_lora.run(high, folder / "tiny", folder / "loras", work, plan=SHORT, tokens=FEW, stop_at=stop_at)


def _lightning(folder: Path, work: Path, stop_at: int | None) -> None:
    low = EXPERTS["low"]
    lightning_lora.run(low, folder / "tiny", folder / "loras", work, plan=SHORT, tokens=FEW, stop_at=stop_at)


STAGES: dict[str, Stage] = {
    "vae": _vae,
    "text": _text,
    "latents": _latents,
    "high": _expert("high"),
    "low": _expert("low"),
    "svi": _svi,
    "lightning": _lightning,
}
RESULTS = {
    "vae": "tiny/vae",
    "text": "tiny/text_encoder",
    "latents": "work/latents",
    "high": "tiny/transformer",
    "low": "tiny/transformer_2",
    "svi": "loras/wan_tiny_svi2pro_high_noise.safetensors",
    "lightning": "loras/wan_tiny_lightning_4steps_low_noise.safetensors",
}
CHECKPOINTS = {
    "vae": "vae.pt",
    "text": "text.pt",
    "latents": "latents/*",
    "high": "transformer.pt",
    "low": "transformer_2.pt",
    "svi": "svi_high.pt",
    "lightning": "lightning_low.pt",
}


def _contents(place: Path) -> dict[str, bytes]:
    """Everything but what `torch.load` needs to read."""
    files = [place] if place.is_file() else sorted(path for path in place.rglob("*") if path.is_file())
    return {path.name: path.read_bytes() for path in files}


@pytest.mark.parametrize("name", STAGES)
def test_what_was_ended_goes_on_to_the_same_bits(name: str, made: Path, tmp_path: Path) -> None:
    again = tmp_path / "again"
    shutil.copytree(made, again)
    for path in [*(again / "work").glob(CHECKPOINTS[name])]:
        path.unlink()
    stage = STAGES[name]
    stage(again, again / "work", STOP)
    left = [*(again / "work").glob(CHECKPOINTS[name])]
    assert left, "the stage left nothing to go on from"
    for path in left:
        path.with_suffix(".part").write_bytes(b"a write that a kill cut short")
    stage(again, again / "work", None)
    for path in (again / "work").rglob("*.part"):
        path.unlink()
    assert _contents(again / RESULTS[name]) == _contents(made / RESULTS[name])


def test_training_changes_what_it_trains(made: Path) -> None:
    trained = WanVae.load(made / "tiny" / "vae").module.state_dict()
    fresh = vae.new_vae().state_dict()
    still = [name for name in trained if torch.equal(trained[name], fresh[name].half().float())]
    assert all("time_conv" not in name for name in still)
    assert len(still) < len(trained) / 2
    expert = load_transformer(made / "tiny" / "transformer", dtype=torch.float32, device=torch.device("cpu"))
    assert float(expert.proj_out.weight.abs().max()) > 0


@pytest.mark.parametrize(("file", "expert"), [(RESULTS["svi"], "high"), (RESULTS["lightning"], "low")])
def test_the_loras_are_for_their_expert(file: str, expert: str, made: Path) -> None:
    network = Network("trained", "what is trained here", 36, 192, 6, 576, text_width=64, time_width=64)
    inspection = inspect_lora(made / file, networks=[network])
    assert inspection.problem is None
    assert (inspection.expert, inspection.rank, inspection.fits) == (expert, 16, ("trained",))
