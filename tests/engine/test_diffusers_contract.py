"""Contract: what diffusers' `WanImageToVideoPipeline` makes of the same weights and noise, bit for bit."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from diffusers import UniPCMultistepScheduler, WanImageToVideoPipeline
from PIL import Image
from safetensors.torch import load_file

from headless.engine.conditioning import condition
from headless.engine.loading import LoadedModel
from headless.engine.phases import plan_phases
from headless.engine.sampling import Prompts, sample, seeded_noise
from headless.engine.schedule import Schedule, explicit_schedule, inject, make_schedule
from headless.engine.wan import WanEngine
from headless.segment import SegmentRequest
from tests.engine.conftest import Heard, frames_of, picture, request

FLOW = {"prediction_type": "flow_prediction", "use_flow_sigmas": True, "num_train_timesteps": 1000}
END = picture(colour=(0, 255, 0))[:, ::-1].copy()


def on_our_times(schedule: Schedule) -> Any:
    """diffusers' solver on our schedule: the pipeline asks a scheduler for its times in its own way."""
    scheduler = UniPCMultistepScheduler(**FLOW)
    reset = scheduler.set_timesteps

    def set_timesteps(steps: int, device: object = None) -> None:
        reset(steps)
        inject(scheduler, schedule)

    scheduler.set_timesteps = set_timesteps
    return scheduler


def pipeline(loaded: LoadedModel, scheduler: Any) -> WanImageToVideoPipeline:
    pipe = WanImageToVideoPipeline(
        tokenizer=None,
        text_encoder=loaded.memory.module("text_encoder"),
        vae=loaded.vae.module,
        scheduler=scheduler,
        transformer=loaded.memory.module("high"),
        transformer_2=loaded.memory.module("low"),
        boundary_ratio=0.9,
    )
    pipe.set_progress_bar_config(disable=True)
    return pipe


def theirs(loaded: LoadedModel, scheduler: Any, asked: SegmentRequest, output: str) -> torch.Tensor:
    """The pipeline's answer, without its batch axis."""
    assert asked.start_image is not None
    frames, height, width = (asked.num_frames - 1) // 4 + 1, asked.height // 8, asked.width // 8
    latents = seeded_noise(torch.Generator().manual_seed(asked.seed), frames, height, width)
    with torch.inference_mode():
        result: torch.Tensor = pipeline(loaded, scheduler)(
            image=Image.fromarray(asked.start_image),
            last_image=None if asked.end_image is None else Image.fromarray(asked.end_image),
            prompt_embeds=loaded.text.encode(asked.prompt),
            negative_prompt_embeds=loaded.text.encode(asked.negative_prompt),
            height=asked.height,
            width=asked.width,
            num_frames=asked.num_frames,
            num_inference_steps=asked.steps,
            guidance_scale=asked.guidance_scale,
            guidance_scale_2=asked.guidance_scale_2,
            latents=latents[None],
            output_type=output,
        ).frames[0]
    return result


@pytest.mark.parametrize("guidance", [1.0, 3.5])
@pytest.mark.parametrize("end", [None, END], ids=["start", "start and last"])
@pytest.mark.parametrize("steps", [4, 7])
def test_latents_and_pixels_equal_the_pipelines(
    engine: WanEngine, tmp_path: Path, end: np.ndarray[Any, Any] | None, guidance: float, steps: int
) -> None:
    asked = request(
        end_image=end,
        end_frame_mode="in_chunk",
        steps=steps,
        guidance_scale=guidance,
        guidance_scale_2=guidance,
    )
    generation = engine.generate(asked, Heard())
    assert generation.save_handoff is not None
    generation.save_handoff(tmp_path / "ours")
    ours = load_file(tmp_path / "ours")["latents"]
    loaded = engine._in_memory()
    scheduler = on_our_times(make_schedule("unipc", steps, asked.flow_shift))
    assert torch.equal(ours, theirs(loaded, scheduler, asked, "latent"))
    video = theirs(loaded, scheduler, asked, "pt")
    shown = torch.from_numpy(frames_of(generation)).permute(0, 3, 1, 2)
    assert (shown - video * 255).abs().max() <= 0.51
    with torch.inference_mode():
        decoded = loaded.vae.decode(ours)
    assert torch.equal((decoded * 0.5 + 0.5).clamp(0, 1).transpose(0, 1), video)


def test_on_diffusers_own_times_too(engine: WanEngine) -> None:
    asked = request(steps=6, guidance_scale=1.0)
    engine.load(asked.model, Heard())
    loaded = engine._in_memory()
    scheduler = UniPCMultistepScheduler(**FLOW, flow_shift=5.0)
    reference = theirs(loaded, scheduler, asked, "latent")
    schedule = explicit_schedule("unipc", [float(sigma) for sigma in scheduler.sigmas[:-1]])
    assert [int(time) for time in schedule.timesteps] == scheduler.timesteps.tolist()
    noise = seeded_noise(torch.Generator().manual_seed(asked.seed), 3, 8, 8)
    plan = plan_phases({}, guidance_scale=1.0, guidance_scale_2=1.0, phase_steps=None, experts=2)
    with torch.inference_mode():
        known = condition(asked, {}, loaded.vae, torch.Generator()).conditioning
        assert known is not None
        ours = sample(
            noise=noise,
            y=known.y,
            prompts=Prompts(loaded.text.encode(asked.prompt)),
            schedule=schedule,
            steps=plan.lay_out(schedule),
            expert_for=lambda step: loaded.memory.use(step.expert.value),
            on_step=lambda number, estimate: None,
        )
    assert torch.equal(ours, reference)


def test_guidance_without_a_negative_prompt_is_refused() -> None:
    schedule = make_schedule("unipc", 4, 5.0)
    plan = plan_phases({}, guidance_scale=0.5, guidance_scale_2=1.0, phase_steps=None, experts=2)
    with pytest.raises(ValueError, match="needs a negative prompt"):
        sample(
            noise=torch.zeros(16, 1, 2, 2),
            y=None,
            prompts=Prompts(torch.zeros(1, 512, 32)),
            schedule=schedule,
            steps=plan.lay_out(schedule),
            expert_for=lambda step: pytest.fail("must not run"),
            on_step=lambda number, estimate: None,
        )
