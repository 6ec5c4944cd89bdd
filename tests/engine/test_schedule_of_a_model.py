"""What a definition may fix of a run: the times of its steps, and latents that come out as they went in."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from headless.engine.conditioning import pixels
from headless.engine.sampling import Known
from headless.engine.schedule import make_schedule, schedule_of
from headless.engine.wan import WanEngine
from headless.segment import Generation, SegmentRequest
from models.registry import Registry
from tests.engine.conftest import Heard, picture, request

MODEL = "wan_tiny_i2v"
SIGMAS = [1.0, 0.9, 0.6, 0.2]
ASKED = request(
    width=32,
    height=32,
    num_frames=5,
    start_image=picture(32, 32),
    end_image=picture(32, 32, colour=(9, 9, 90)),
)


def set_up(engine: WanEngine, registry: Registry, **settings: object) -> None:
    registry.models_def[MODEL]["settings"] |= settings
    engine.load(MODEL, Heard())


def latents_of(generation: Generation, folder: Path) -> torch.Tensor:
    assert generation.save_sampled is not None
    generation.save_sampled(folder / "latents")
    latents: torch.Tensor = load_file(folder / "latents")["latents"]
    return latents


def test_sigmas_of_the_model_are_its_times(engine: WanEngine, registry: Registry) -> None:
    set_up(engine, registry, sigmas=SIGMAS, solver="euler")
    generation = engine.generate(request(solver="euler", num_frames=5), Heard())
    assert generation.details["timesteps"] == [1000.0, 900.0, 600.0, 200.0]
    assert generation.details["expert_steps"] == {"high": 2, "low": 2}


@pytest.mark.parametrize(("steps", "shift"), [(3, 5.0), (4, 8.0)])
def test_a_task_that_asks_for_other_steps_gets_them(steps: int, shift: float) -> None:
    settings = {"sigmas": SIGMAS, "flow_shift": 5.0}
    assert schedule_of(settings, "euler", steps, shift) == make_schedule("euler", steps, shift)
    assert schedule_of(settings, "euler", 4, 5.0).sigmas == (*SIGMAS, 0.0)


def test_known_latents_are_as_noisy_as_the_others() -> None:
    clean, noise, sampled = (
        torch.full((16, 2, 1, 1), 2.0),
        torch.full((16, 2, 1, 1), 6.0),
        torch.zeros(16, 2, 1, 1),
    )
    where = torch.tensor([True, False]).view(1, 2, 1, 1)
    put = Known(clean, where).put(sampled, noise, 0.25)
    assert torch.equal(put[:, 0], torch.full((16, 1, 1), 3.0))
    assert torch.equal(put[:, 1], sampled[:, 1])


def known_ones(engine: WanEngine, asked: SegmentRequest) -> tuple[torch.Tensor, torch.Tensor]:
    """The latents of the start image and of the end image, each alone."""
    vae = engine._in_memory().vae
    start, end = (
        vae.encode(pixels(given[None])) for given in (asked.start_image, asked.end_image) if given is not None
    )
    return start[:, 0], end[:, 0]


@pytest.mark.parametrize("solver", ["euler", "unipc"])
def test_clamped_latents_come_out_as_they_went_in(
    engine: WanEngine, registry: Registry, tmp_path: Path, solver: str
) -> None:
    asked = request(**{**vars(ASKED), "solver": solver})
    free = latents_of(engine.generate(asked, Heard()), tmp_path)
    set_up(engine, registry, clamp_known_latents=True)
    generation = engine.generate(asked, Heard())
    clamped = latents_of(generation, tmp_path)
    start, end = known_ones(engine, asked)
    assert torch.equal(clamped[:, 0], start)
    assert torch.equal(clamped[:, -1], end)
    assert generation.details["clamped_latents"] == 2
    assert not torch.equal(free[:, 0], start)
    assert not torch.equal(free[:, 1], clamped[:, 1]), "the model sees the known ones while it samples"


def test_an_end_within_the_last_chunk_is_not_known_whole(
    engine: WanEngine, registry: Registry, tmp_path: Path
) -> None:
    set_up(engine, registry, clamp_known_latents=True)
    generation = engine.generate(request(**{**vars(ASKED), "end_frame_mode": "in_chunk"}), Heard())
    assert generation.details["clamped_latents"] == 1


def test_nothing_is_clamped_unasked(engine: WanEngine) -> None:
    assert "clamped_latents" not in engine.generate(ASKED, Heard()).details
