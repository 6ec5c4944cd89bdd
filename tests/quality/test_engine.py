"""NaN in the real engine: found in its floating point frames, refused by the worker, not resumed from."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

from headless.engine.sampling import seeded_noise
from headless.engine.wan import WanEngine
from headless.job_listener import SilentListener
from headless.planning.seeds import retry_seed
from models.registry import load_models_def
from models.vae import WanVae
from tests.tools.constructed import CONSTRUCTED
from tests.tools.small_requests import small_request
from tests.tools.tiny_clips import disc
from tests.worker.place import Place

ROOT = Path(__file__).resolve().parent.parent.parent
REQUEST = small_request(prompt="a disc", start_image=disc((200, 60, 40)), end_image=disc((0, 255, 0)))


@pytest.fixture(scope="module")
def engine() -> WanEngine:
    """The tiny model, loaded by the first test."""
    return WanEngine(load_models_def(ROOT / "configs"), [CONSTRUCTED], device="cpu")


def _with_bad_pixels(
    monkeypatch: pytest.MonkeyPatch, frames: set[int], value: float, decodes: int = 99
) -> None:
    """Have one pixel of those decoded frames be `value`, in the first `decodes` clips."""

    def spoil(frame: Tensor) -> None:
        frame[1, 3, 5] = value

    _with_frames(monkeypatch, frames, spoil, decodes)


def _with_frames(
    monkeypatch: pytest.MonkeyPatch, frames: set[int], spoil: Callable[[Tensor], None], decodes: int = 99
) -> None:
    """Have those decoded frames, [3, H, W], spoilt in the first `decodes` clips."""
    decode, left = WanVae.decode_chunks, iter(range(decodes))

    def spoilt(self: WanVae, latents: Tensor, end_frame: bool = False) -> Iterator[Tensor]:
        number, spoils = 0, next(left, None) is not None
        for decoded in decode(self, latents, end_frame):
            chunk = decoded.clone()
            for index in range(chunk.shape[1]):
                if spoils and number in frames:
                    spoil(chunk[:, index])
                number += 1
            yield chunk

    monkeypatch.setattr(WanVae, "decode_chunks", spoilt)


def test_a_sound_clip_has_none(engine: WanEngine) -> None:
    generation = engine.generate(REQUEST, SilentListener())
    assert len(list(generation.frames)) == 9
    assert generation.not_finite() == 0
    assert generation.save_sampled is not None


@pytest.mark.parametrize("value", [float("nan"), float("inf"), float("-inf")])
@pytest.mark.parametrize("frames", [{0}, {3, 4}, {8}, {9}])
def test_every_frame_with_one_bad_pixel_is_counted(
    engine: WanEngine, monkeypatch: pytest.MonkeyPatch, frames: set[int], value: float
) -> None:
    """Frame 9 is the one that stands for the end image and is dropped."""
    _with_bad_pixels(monkeypatch, frames, value)
    generation = engine.generate(REQUEST, SilentListener())
    assert len(list(generation.frames)) == 9
    assert generation.not_finite() == len(frames)


def test_latents_that_are_not_finite_leave_no_checkpoint(
    engine: WanEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    def bad_noise(generator: torch.Generator, latents: int, height: int, width: int) -> Tensor:
        drawn = seeded_noise(generator, latents, height, width)
        drawn[3, 1, 2, 2] = float("nan")
        return drawn

    monkeypatch.setattr("headless.engine.segment_run.seeded_noise", bad_noise)
    generation = engine.generate(replace(REQUEST, end_image=None), SilentListener())
    frames = np.stack(list(generation.frames))
    assert frames.dtype == np.uint8
    assert generation.not_finite() > 0
    assert generation.save_sampled is None


def test_a_worker_makes_a_clip_with_nan_once_more(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    _with_bad_pixels(monkeypatch, {2}, float("nan"), decodes=1)
    task = place.enqueue(place.job(output_checks=True))
    assert place.work(engine="wan") == 0
    result = place.result(task)
    assert result["seed"] == retry_seed(7)
    (failed,) = result["checks"]["refused"]["failed"]
    assert (failed["check"], failed["measured"]) == ("finite", {"not_finite_frames": 1.0})
    assert result["scores"]["not_finite_frames"] == 0


def test_a_worker_refuses_nan_twice(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    _with_bad_pixels(monkeypatch, {0, 1}, float("nan"))
    task = place.enqueue(place.job(output_checks=True))
    assert place.work(engine="wan") == 0
    view = place.view(task)
    assert (view.status.value, view.error_class) == ("Failed", "BAD_OUTPUT")
    assert view.error_message is not None
    assert "finite: 2 of its frames hold numbers that are not finite" in view.error_message


def _noise(frame: Tensor) -> None:
    frame.copy_(torch.rand(frame.shape, generator=torch.Generator().manual_seed(1)) * 2 - 1)


@pytest.mark.parametrize(
    ("spoilt", "failed"), [({9}, "end"), ({8}, None), ({0}, "start"), (set(), None)], ids=str
)
def test_in_extra_latent_the_dropped_frame_is_the_end(
    place: Place, monkeypatch: pytest.MonkeyPatch, spoilt: set[int], failed: str | None
) -> None:
    """Of 9 frames and one more, 8 is the last that is shown, and 9 stands for the end image."""
    _with_frames(monkeypatch, spoilt, _noise, decodes=1)
    task = place.enqueue(
        place.job(output_checks=True, end_image=place.picture(seed=3), num_frames=9, steps=4)
    )
    assert place.work(engine="wan") == 0
    result = place.result(task)
    refused = result["checks"].get("refused", {"failed": []})["failed"]
    assert [entry["check"] for entry in refused] == ([] if failed is None else [failed])
    assert result["scores"]["end"]["frame"] == "dropped"
    assert result["checks"]["passed"] == ["finite", "black", "grey", "frozen", "start", "end"]
    assert (result["scores"]["last"]["ssim"] < 0.2) == (spoilt == {8})
