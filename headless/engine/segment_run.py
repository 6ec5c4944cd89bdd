"""One segment on a loaded model: condition, sample, decode. Nothing of a run outlives it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import structlog
import torch
from diffusers import WanTransformer3DModel
from torch import Tensor

from headless.engine.conditioning import Conditioned, condition, without_images
from headless.engine.decoding import ClipDecoder, describe_plan
from headless.engine.experts import Experts
from headless.engine.handoff import load_latents, save_latents
from headless.engine.ladder import Ladder
from headless.engine.phases import Step, plan_phases
from headless.engine.sampling import Known, Prompts, sample, seeded_noise
from headless.engine.schedule import Schedule, schedule_of
from headless.engine.stages import Stages
from headless.errors import BadInput, BadParams
from headless.segment import EngineListener, Generation, Picture, SegmentRequest
from headless.task import Phase
from wan2gp_patch.conditioning import Conditioning
from wan2gp_patch.frames import EndFrameMode, latent_count, new_frames, sequence_length

log = structlog.get_logger(__name__)


class SegmentRun:
    """Carries out one request; `generate` may be called once."""

    def __init__(
        self,
        ladder: Ladder,
        model_def: Mapping[str, Any],
        request: SegmentRequest,
        listener: EngineListener,
        device: torch.device,
        details: Mapping[str, Any] | None = None,
    ) -> None:
        """`details` goes into the result beside what the run finds."""
        self._ladder = ladder
        self._model_def = model_def
        self._request = request
        self._listener = listener
        self._device = device
        self._details: dict[str, Any] = dict(details or {})
        self._stages = Stages(ladder, device, self._details)

    @torch.inference_mode()
    def generate(self) -> Generation:
        """Condition and sample now; decode while the frames are read."""
        request = self._request
        schedule, steps, phases = self._plan()
        pictures = self._pictures()
        self._listener.on_phase(Phase.ENCODING)
        experts = Experts(self._ladder.loaded.bakery, request.loras, steps, phases)
        experts.read()
        self._describe_loras(experts)
        with self._stages.measured("text"):
            prompts = self._prompts(steps)
        self._listener.on_phase(Phase.ENCODING)
        generator = torch.Generator("cpu").manual_seed(request.seed)
        with self._stages.measured("conditioning"):
            conditioned = self._condition(generator)
            prompts = replace(prompts, images=self._image_embeddings(pictures))
        if request.sampled_latents is None:
            latents = self._sample(generator, conditioned, prompts, schedule, steps, experts)
        else:
            latents = self._resumed(request.sampled_latents, conditioned)
        return self._generation(latents, conditioned, schedule, steps)

    def _plan(self) -> tuple[Schedule, tuple[Step, ...], int]:
        request, settings = self._request, self._model_def.get("settings", {})
        phases = plan_phases(
            settings,
            guidance_scale=request.guidance_scale,
            guidance_scale_2=request.guidance_scale_2,
            phase_steps=request.phase_steps,
            phase_guidance=request.phase_guidance,
            high_noise_phases=request.high_noise_phases,
            experts=len(self._ladder.loaded.experts),
        )
        try:
            schedule = schedule_of(settings, request.solver, request.steps, request.flow_shift)
            return schedule, phases.lay_out(schedule), len(phases.rules)
        except ValueError as error:
            raise BadParams(str(error)) from error

    def _describe_loras(self, experts: Experts) -> None:
        self._details["loras"] = experts.described()
        for warning in experts.suspicious():
            log.warning(warning)
            self._details.setdefault("warnings", []).append(warning)

    def _prompts(self, steps: tuple[Step, ...]) -> Prompts:
        text, request = self._ladder.loaded.text, self._request
        guided = any(step.guidance != 1 for step in steps)
        return Prompts(text.encode(request.prompt), text.encode(request.negative_prompt) if guided else None)

    def _pictures(self) -> tuple[Picture, ...]:
        """What CLIP is to look at, if the model reads CLIP. Raises `BadParams`."""
        images = self._ladder.loaded.images
        svi = bool(self._model_def.get("svi2pro", False))
        return () if images is None else images.pictures(self._request, svi=svi)

    def _image_embeddings(self, pictures: tuple[Picture, ...]) -> Tensor | None:
        images = self._ladder.loaded.images
        return None if images is None else images.encode(pictures)

    def _condition(self, generator: torch.Generator) -> Conditioned:
        if not self._ladder.loaded.reads_conditioning:
            return without_images(self._request)
        return condition(self._request, self._model_def, self._ladder.loaded.vae, generator)

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
        with self._stages.measured("denoising"):
            return sample(
                noise=noise.to(self._device),
                y=None if known is None else known.y.to(self._device),
                prompts=prompts,
                schedule=schedule,
                steps=steps,
                expert_for=self._announcing(experts, steps),
                on_step=self._on_step,
                known=self._clamped(known),
            )

    def _clamped(self, conditioning: Conditioning | None) -> Known | None:
        """The latents that the model is told whole, if its definition wants them to come out as they are."""
        if conditioning is None or not self._model_def.get("settings", {}).get("clamp_known_latents"):
            return None
        where = (conditioning.mask == 1).all(dim=0, keepdim=True)
        self._details["clamped_latents"] = int(where.flatten(2).any(dim=2).sum())
        return Known(conditioning.latents.to(self._device), where.to(self._device))

    def _announcing(
        self, experts: Experts, steps: tuple[Step, ...]
    ) -> Callable[[Step], WanTransformer3DModel]:
        def expert_for(step: Step) -> WanTransformer3DModel:
            self._stages.begin(f"step {steps.index(step) + 1}")
            return experts.for_step(step)

        return expert_for

    def _resumed(self, path: Path, conditioned: Conditioned) -> Tensor:
        """What an earlier attempt sampled for this very request. Raises `BadInput`."""
        request, known = self._request, conditioned.conditioning
        latents = load_latents(path, height=request.height, width=request.width, about=self._about())
        frames = latent_count(request.num_frames) if known is None else known.latents.shape[1]
        if latents.shape[1] != frames:
            raise BadInput(f"the checkpoint has {latents.shape[1]} latent frames instead of {frames}")
        self._details["resumed"] = True
        return latents.to(self._device)

    def _on_step(self, number: int, estimate: Callable[[], Tensor]) -> None:
        preview = self._ladder.loaded.preview
        self._listener.on_step(number, self._request.steps, lambda: preview.picture(estimate()))

    def _generation(
        self, latents: Tensor, conditioned: Conditioned, schedule: Schedule, steps: tuple[Step, ...]
    ) -> Generation:
        request = self._request
        extra = conditioned.end_frame_mode is EndFrameMode.EXTRA_LATENT
        handed_on = self._handed_on(latents, extra)
        self._describe(latents, schedule, steps)
        finite = bool(torch.isfinite(latents).all())
        if not finite:
            log.warning("what was sampled is not finite; it will not be resumed from")
        decoder = ClipDecoder(
            self._ladder,
            self._stages,
            self._listener,
            self._details,
            latents=latents,
            extra=extra,
            num_frames=request.num_frames,
        )
        return Generation(
            width=request.width,
            height=request.height,
            num_frames=request.num_frames,
            new_frames=new_frames(request.num_frames, conditioned.continuation),
            frames=decoder.frames(),
            end_frame_mode=conditioned.end_frame_mode.value,
            adjustments=conditioned.adjustments,
            details=self._details,
            save_handoff=lambda path: self._save(path, handed_on),
            save_sampled=(lambda path: self._save(path, latents)) if finite else None,
            end_frame=decoder.end_frame,
            not_finite=decoder.not_finite,
        )

    def _handed_on(self, latents: Tensor, extra: bool) -> Tensor:
        """What the next clip may see: neither the end latent nor the tail that is cut."""
        frames = latent_count(self._request.num_frames) if extra else latents.shape[1]
        return latents[:, : frames - self._request.end_tail_latents]

    def _save(self, path: Path, latents: Tensor) -> None:
        save_latents(path, latents, self._about())

    def _about(self) -> dict[str, str]:
        request = self._request
        return {"model": request.model, "seed": str(request.seed), "num_frames": str(request.num_frames)}

    def _describe(self, latents: Tensor, schedule: Schedule, steps: tuple[Step, ...]) -> None:
        loaded = self._ladder.loaded
        recipe = loaded.recipe
        describe_plan(self._ladder, self._details)
        self._details |= {
            "engine": "wan",
            "device": str(self._device),
            "ranks": self._ladder.ranks,
            "dtype": str(recipe.dtype).removeprefix("torch."),
            "vae_dtype": str(recipe.vae_dtype).removeprefix("torch."),
            "attention": loaded.attention,
            "svi2pro": bool(self._model_def.get("svi2pro", False)),
            "latents": latents.shape[1],
            "sequence_length": sequence_length(*latents.shape[1:]),
            "solver": schedule.solver,
            "timesteps": [round(time, 3) for time in schedule.timesteps],
            "expert_steps": {
                expert.value: sum(step.expert is expert for step in steps) for expert in loaded.experts
            },
            "forwards": sum(1 if step.guidance == 1 else 2 for step in steps),
        }
