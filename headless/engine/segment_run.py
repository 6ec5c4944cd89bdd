"""One segment on a loaded model: condition, sample, decode. Nothing of a run outlives it."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import structlog
import torch
from torch import Tensor

from headless.engine.conditioning import Conditioned, condition, without_images
from headless.engine.experts import Experts
from headless.engine.failures import memory_reported
from headless.engine.handoff import load_latents, save_latents
from headless.engine.loading import LoadedModel
from headless.engine.phases import Step, plan_phases
from headless.engine.preview import to_uint8
from headless.engine.sampling import Prompts, sample, seeded_noise
from headless.engine.schedule import Schedule, make_schedule
from headless.errors import BadInput, BadParams
from headless.segment import Clip, EngineListener, Generation, Picture, SegmentRequest
from headless.task import Phase
from wan2gp_patch.frames import EndFrameMode, latent_count, new_frames, sequence_length

log = structlog.get_logger(__name__)


class SegmentRun:
    """Carries out one request; `generate` may be called once."""

    def __init__(
        self,
        loaded: LoadedModel,
        model_def: Mapping[str, Any],
        request: SegmentRequest,
        listener: EngineListener,
        device: torch.device,
    ) -> None:
        self._loaded = loaded
        self._model_def = model_def
        self._request = request
        self._listener = listener
        self._device = device
        self._details: dict[str, Any] = {}
        self._timings: dict[str, float] = {}
        self._end_frame: Picture | None = None

    @torch.inference_mode()
    def generate(self) -> Generation:
        """Condition and sample now; decode while the frames are read."""
        request = self._request
        schedule, steps, phases = self._plan()
        self._listener.on_phase(Phase.ENCODING)
        experts = Experts(self._loaded.bakery, request.loras, steps, phases)
        experts.read()
        self._describe_loras(experts)
        with self._measured("text"):
            prompts = self._prompts(steps)
        self._listener.on_phase(Phase.ENCODING)
        generator = torch.Generator("cpu").manual_seed(request.seed)
        with self._measured("conditioning"):
            conditioned = self._condition(generator)
        if request.sampled_latents is None:
            latents = self._sample(generator, conditioned, prompts, schedule, steps, experts)
        else:
            latents = self._resumed(request.sampled_latents, conditioned)
        return self._generation(latents, conditioned, schedule, steps)

    def _plan(self) -> tuple[Schedule, tuple[Step, ...], int]:
        request = self._request
        phases = plan_phases(
            self._model_def.get("settings", {}),
            guidance_scale=request.guidance_scale,
            guidance_scale_2=request.guidance_scale_2,
            phase_steps=request.phase_steps,
            phase_guidance=request.phase_guidance,
            high_noise_phases=request.high_noise_phases,
            experts=len(self._loaded.experts),
        )
        try:
            schedule = make_schedule(request.solver, request.steps, request.flow_shift)
            return schedule, phases.lay_out(schedule), len(phases.rules)
        except ValueError as error:
            raise BadParams(str(error)) from error

    def _describe_loras(self, experts: Experts) -> None:
        self._details["loras"] = experts.described()
        for warning in experts.suspicious():
            log.warning(warning)
            self._details.setdefault("warnings", []).append(warning)

    def _prompts(self, steps: tuple[Step, ...]) -> Prompts:
        text, request = self._loaded.text, self._request
        guided = any(step.guidance != 1 for step in steps)
        return Prompts(text.encode(request.prompt), text.encode(request.negative_prompt) if guided else None)

    def _condition(self, generator: torch.Generator) -> Conditioned:
        if not self._loaded.reads_conditioning:
            return without_images(self._request)
        return condition(self._request, self._model_def, self._loaded.vae, generator)

    def _sample(
        self,
        generator: torch.Generator,
        conditioned: Conditioned,
        prompts: Prompts,
        schedule: Schedule,
        steps: tuple[Step, ...],
        experts: Experts,
    ) -> Tensor:
        request, known = self._request, conditioned.conditioning
        self._listener.on_phase(Phase.DENOISING)
        frames = latent_count(request.num_frames) if known is None else known.latents.shape[1]
        noise = seeded_noise(generator, frames, request.height // 8, request.width // 8)
        with self._measured("denoising"):
            return sample(
                noise=noise.to(self._device),
                y=None if known is None else known.y.to(self._device),
                prompts=prompts,
                schedule=schedule,
                steps=steps,
                expert_for=experts.for_step,
                on_step=self._on_step,
            )

    def _resumed(self, path: Path, conditioned: Conditioned) -> Tensor:
        """What an earlier attempt sampled for this very request. Raises `BadInput`."""
        request, known = self._request, conditioned.conditioning
        latents = load_latents(path, height=request.height, width=request.width)
        frames = latent_count(request.num_frames) if known is None else known.latents.shape[1]
        if latents.shape[1] != frames:
            raise BadInput(f"the checkpoint has {latents.shape[1]} latent frames instead of {frames}")
        self._details["resumed"] = True
        return latents.to(self._device)

    def _on_step(self, number: int, estimate: Callable[[], Tensor]) -> None:
        preview = self._loaded.preview
        self._listener.on_step(number, self._request.steps, lambda: preview.picture(estimate()))

    def _generation(
        self, latents: Tensor, conditioned: Conditioned, schedule: Schedule, steps: tuple[Step, ...]
    ) -> Generation:
        request = self._request
        extra = conditioned.end_frame_mode is EndFrameMode.EXTRA_LATENT
        handed_on = latents[:, :-1] if extra else latents
        self._describe(latents, schedule, steps)
        return Generation(
            width=request.width,
            height=request.height,
            num_frames=request.num_frames,
            new_frames=new_frames(request.num_frames, conditioned.continuation),
            frames=self._frames(latents, extra),
            end_frame_mode=conditioned.end_frame_mode.value,
            adjustments=conditioned.adjustments,
            details=self._details,
            save_handoff=lambda path: self._save(path, handed_on),
            save_sampled=lambda path: self._save(path, latents),
            end_frame=lambda: self._end_frame,
        )

    def _frames(self, latents: Tensor, extra: bool) -> Iterator[Picture]:
        """The clip's frames as they are decoded; the one beyond the clip is kept aside."""
        chunks, shown = self._decoded(latents, extra), 0
        for chunk in chunks:
            for frame in chunk:
                if shown < self._request.num_frames:
                    shown += 1
                    yield frame
                else:
                    self._end_frame = frame

    @torch.inference_mode()
    def _decoded(self, latents: Tensor, extra: bool) -> Iterator[Clip]:
        chunks = self._loaded.vae.decode_chunks(latents, end_frame=extra)
        while True:
            self._listener.on_phase(Phase.DECODING)
            with self._measured("decoding"):
                chunk = next(chunks, None)
                if chunk is None:
                    return
                frames: Clip = to_uint8(chunk).permute(1, 2, 3, 0).contiguous().cpu().numpy()
            yield frames

    def _save(self, path: Path, latents: Tensor) -> None:
        request = self._request
        about = {"model": request.model, "seed": str(request.seed), "num_frames": str(request.num_frames)}
        save_latents(path, latents, about)

    @contextmanager
    def _measured(self, stage: str) -> Iterator[None]:
        """Add up the seconds of a stage, and name it if the memory runs out in it."""
        began = time.perf_counter()
        with memory_reported(stage, self._loaded.plan):
            yield
            if self._device.type == "cuda":
                torch.cuda.synchronize(self._device)
        self._timings[stage] = self._timings.get(stage, 0.0) + time.perf_counter() - began
        self._details["timings"] = {name: round(seconds, 4) for name, seconds in self._timings.items()}

    def _describe(self, latents: Tensor, schedule: Schedule, steps: tuple[Step, ...]) -> None:
        recipe = self._loaded.recipe
        self._details |= {
            "engine": "wan",
            "device": str(self._device),
            "memory": self._loaded.plan.value,
            "dtype": str(recipe.dtype).removeprefix("torch."),
            "vae_dtype": str(recipe.vae_dtype).removeprefix("torch."),
            "svi2pro": bool(self._model_def.get("svi2pro", False)),
            "latents": latents.shape[1],
            "sequence_length": sequence_length(*latents.shape[1:]),
            "solver": schedule.solver,
            "timesteps": [round(time, 3) for time in schedule.timesteps],
            "expert_steps": {
                expert.value: sum(step.expert is expert for step in steps) for expert in self._loaded.experts
            },
            "forwards": sum(1 if step.guidance == 1 else 2 for step in steps),
        }
