"""A task that changes the model definition leaves no trace in the next one: through the whole worker, on the
tiny model, byte for byte."""

from __future__ import annotations

import threading
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from headless.task import Json, TaskStatus
from tests.worker.mp4 import read_mp4
from tests.worker.place import Place

PATCHED = "[SVI2PRO] Patched wgp.models_def['wan_tiny_i2v']['svi2pro'] = True (was: None)"
RESTORED = "[SVI2PRO] Restored wgp.models_def['wan_tiny_i2v']['svi2pro'] to None"


@dataclass(frozen=True)
class Made:
    """What one task made, without what names the task: coded pictures, latents, and the result."""

    pictures: str
    latents: bytes
    said: dict[str, Any]


def _made(place: Place, task: str) -> Made:
    result = place.result(task)
    named = ("parameters", "adjustments", "scores", "end_frame_mode", "frames")
    said = {name: result[name] for name in named} | {"svi2pro": result["engine"]["svi2pro"]}
    video, latents = place.stored(task, "video.mp4"), place.stored(task, "latents.safetensors")
    return Made(read_mp4(video).coded_sha256, latents.read_bytes(), said)


def _plain(place: Place) -> dict[str, Json]:
    """Task B: image to video with options that only act, and are only reported, without svi2pro."""
    return place.job(end_image=place.picture(seed=3), start_latent_strength=0.5, steps=2)


@pytest.fixture(scope="module")
def alone(tmp_path_factory: pytest.TempPathFactory) -> Made:
    """Task B on a worker that never ran anything else."""
    place = Place(tmp_path_factory.mktemp("alone") / "place")
    task = place.enqueue(_plain(place))
    assert place.work(engine="wan") == 0
    return _made(place, task)


def test_a_task_with_svi2pro_does_not_change_the_next(
    place: Place, alone: Made, caplog: pytest.LogCaptureFixture
) -> None:
    first = place.enqueue(_plain(place) | {"svi2pro": True, "start_latent_strength": 1.0})
    second = place.enqueue(_plain(place))
    assert place.work(engine="wan") == 0
    svi = _made(place, first)
    assert svi.said["svi2pro"] is True
    assert svi.latents != alone.latents
    assert alone.said["svi2pro"] is False
    assert _made(place, second) == alone
    lines = [record.getMessage() for record in caplog.records if "wgp.models_def" in record.getMessage()]
    assert lines == [PATCHED, RESTORED]


def test_a_task_that_fails_midway_does_not_change_the_next(
    place: Place, alone: Made, caplog: pytest.LogCaptureFixture
) -> None:
    models = _models_with_a_lora_of_another_model(place.folder / "models")
    job = _plain(place) | {"svi2pro": True, "loras": [{"name": "other.safetensors"}]}
    first = place.enqueue(job)
    second = place.enqueue(_plain(place))
    assert place.work("--models-dir", str(models), engine="wan") == 0
    failed = place.view(first)
    assert failed.status is TaskStatus.FAILED
    assert "other.safetensors" in (failed.error_message or "")
    assert _made(place, second) == alone
    lines = [record.getMessage() for record in caplog.records]
    assert lines.index(PATCHED) < lines.index(RESTORED)


def test_a_task_that_is_cancelled_midway_does_not_change_the_next(place: Place, alone: Made) -> None:
    first = place.enqueue(_plain(place) | {"svi2pro": True, "steps": 100, "width": 128, "height": 128})
    second = place.enqueue(_plain(place))
    watcher = threading.Thread(target=_cancel_while_denoised, args=(place, first))
    watcher.start()
    assert place.work(engine="wan") == 0
    watcher.join()
    assert place.view(first).status is TaskStatus.CANCELLED
    assert _made(place, second) == alone


def _cancel_while_denoised(place: Place, task: str) -> None:
    pause = threading.Event()
    with place.queue() as queue:
        while (view := queue.get(task)) is not None and not view.status.final:
            if view.phase == "denoising":
                queue.cancel(task)
                return
            pause.wait(0.01)


def _models_with_a_lora_of_another_model(folder: Path) -> Path:
    import torch
    from safetensors.torch import save_file

    (folder / "loras").mkdir(parents=True)
    name = "diffusion_model.blocks.0.self_attn.q"
    weights = {f"{name}.lora_A.weight": torch.ones(4, 7), f"{name}.lora_B.weight": torch.ones(9, 4)}
    save_file(weights, folder / "loras" / "other.safetensors")
    return folder
