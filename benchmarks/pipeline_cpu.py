"""A whole image-to-video job on the CPU: ours against diffusers' pipeline, interleaved in one process.

    python benchmarks/pipeline_cpu.py [--model tiny|small] [--frames N] [--size HxW] [--pairs N] [--json]

Both sides have the same weights, noise, schedule and prompt embeddings, and both end with 8-bit frames. What
they sample must be the same bits, or the run fails. `tiny` is the constructed model of the tests, `small` a
random one of heads of 128 with a VAE a quarter as wide as the real one. `ratio` is diffusers' time over
ours: the median over the pairs, and of the cases the smallest. `over_floor` is our time over the least that
the ceilings of this very run allow: the job's products and convolutions at the speed of a matrix product of
the transformer's own shape, its attention at the speed of attention alone, nothing else taking time.
"""

from __future__ import annotations

import argparse
import json
import platform
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
# This file's own folder goes: it holds a queue.py, which others would take for Python's.
sys.path[:] = [str(ROOT), *(e for e in sys.path if Path(e or ".").resolve() != ROOT / "benchmarks")]

import diffusers  # noqa: E402 - found from a checkout by the lines above
import numpy as np  # noqa: E402
import torch  # noqa: E402
from PIL import Image  # noqa: E402
from safetensors.torch import load_file  # noqa: E402
from torch.utils.flop_counter import FlopCounterMode  # noqa: E402

from benchmarks.gpu.ceilings import Ceilings, Forward, measured  # noqa: E402
from benchmarks.gpu.networks import TOKENS  # noqa: E402
from headless.engine.allocator import DeviceAllocator  # noqa: E402
from headless.engine.attention import NATIVE  # noqa: E402
from headless.engine.experts import Bakery  # noqa: E402
from headless.engine.ladder import Ladder  # noqa: E402
from headless.engine.loading import LoadedModel, load_model, make_recipe  # noqa: E402
from headless.engine.memory import Resident  # noqa: E402
from headless.engine.plans import MemoryPlan  # noqa: E402
from headless.engine.sampling import seeded_noise  # noqa: E402
from headless.engine.schedule import inject, make_schedule  # noqa: E402
from headless.engine.segment_run import SegmentRun  # noqa: E402
from headless.segment import Clip, Picture, SegmentRequest  # noqa: E402
from headless.task import Phase  # noqa: E402
from models.registry import load_models_def  # noqa: E402
from models.vae import WanVae  # noqa: E402
from wan2gp_patch.frames import latent_count  # noqa: E402

MODEL = "wan_tiny_i2v"
CONSTRUCTED = ROOT / "tests" / "data" / "constructed"
DEFAULT_RUNS = (("tiny", "64x64", 81), ("small", "64x64", 33))
CPU = torch.device("cpu")


class Silent:
    """A listener that wants nothing."""

    def on_phase(self, phase: Phase) -> None:
        """Go on."""

    def on_step(self, step: int, steps: int, preview: Callable[[], Picture] | None) -> None:
        """Go on."""


def loaded(name: str) -> LoadedModel:
    """The constructed model, or the same with larger random networks in its place."""
    definition = load_models_def(ROOT / "configs").definition(MODEL).model_def
    model = load_model(make_recipe(MODEL, definition, [CONSTRUCTED], CPU), MemoryPlan.RESIDENT, CPU)
    if name == "tiny":
        return model
    torch.manual_seed(0)
    sizes = {"num_attention_heads": 3, "attention_head_dim": 128, "ffn_dim": 1024, "num_layers": 4}
    parts = {
        expert.value: diffusers.WanTransformer3DModel(in_channels=36, text_dim=32, **sizes).requires_grad_(
            False
        )
        for expert in model.experts
    }
    memory = Resident(parts, CPU)
    vae = diffusers.AutoencoderKLWan(base_dim=24).eval().requires_grad_(False)
    return replace(model, memory=memory, bakery=Bakery(memory, model.experts), vae=WanVae(vae))


def request(height: int, width: int, frames: int, *, end: bool, model: str = MODEL) -> SegmentRequest:
    """A 4-step job as a distilled model runs it."""
    generator = np.random.default_rng(0)
    start_image, end_image = (
        np.asarray(Image.fromarray(generator.integers(0, 255, (8, 8, 3), np.uint8)).resize((width, height)))
        for _ in range(2)
    )
    return SegmentRequest(
        model=model,
        prompt="a red disc over the sea",
        negative_prompt="",
        width=width,
        height=height,
        num_frames=frames,
        steps=4,
        guidance_scale=1.0,
        guidance_scale_2=1.0,
        flow_shift=5.0,
        seed=1,
        end_frame_mode="in_chunk",
        motion_latent_count=1,
        svi_pad_empty_frames_with_anchor=False,
        start_image=start_image,
        end_image=end_image if end else None,
    )


def ours(model: LoadedModel, asked: SegmentRequest, latents: Path | None = None) -> Clip:
    """The job as the worker runs it: every frame, 8 bits."""
    return told(model, asked, latents)[0]


def told(
    model: LoadedModel, asked: SegmentRequest, latents: Path | None = None
) -> tuple[Clip, Mapping[str, Any]]:
    """The frames of `ours`, and what the engine says of them."""
    device = model.vae.device
    ladder = Ladder("resident", device, DeviceAllocator(device))
    ladder.hold(model)
    generation = SegmentRun(ladder, {}, asked, Silent(), device).generate()
    if latents is not None and generation.save_handoff is not None:
        generation.save_handoff(latents)
    return np.stack(list(generation.frames)), generation.details


def pipeline(vae: Any, experts: Sequence[Any], asked: SegmentRequest) -> Any:
    """diffusers' pipeline around the same networks, on the same schedule."""
    scheduler = diffusers.UniPCMultistepScheduler(prediction_type="flow_prediction", use_flow_sigmas=True)
    reset, schedule = scheduler.set_timesteps, make_schedule("unipc", asked.steps, asked.flow_shift)

    def set_timesteps(steps: int, **_: object) -> None:
        reset(steps)
        inject(scheduler, schedule)

    scheduler.set_timesteps = set_timesteps
    pipe = diffusers.WanImageToVideoPipeline(
        tokenizer=None,
        text_encoder=None,
        vae=vae,
        scheduler=scheduler,
        transformer=experts[0],
        transformer_2=experts[1],
        boundary_ratio=0.9,
    )
    pipe.set_progress_bar_config(disable=True)
    return pipe


@torch.inference_mode()
def theirs(pipe: Any, embeds: torch.Tensor, asked: SegmentRequest, output: str) -> Any:
    """The same job through diffusers' pipeline. `embeds`: those of the prompt."""
    generator = torch.Generator().manual_seed(asked.seed)
    noise = seeded_noise(generator, (asked.num_frames - 1) // 4 + 1, asked.height // 8, asked.width // 8)
    result = pipe(
        image=Image.fromarray(np.asarray(asked.start_image)),
        last_image=None if asked.end_image is None else Image.fromarray(asked.end_image),
        prompt_embeds=embeds,
        height=asked.height,
        width=asked.width,
        num_frames=asked.num_frames,
        num_inference_steps=asked.steps,
        guidance_scale=1.0,
        latents=noise[None],
        output_type=output,
    ).frames[0]
    return (result * 255).round().astype(np.uint8) if output == "np" else result


def equal(model: LoadedModel, pipe: Any, asked: SegmentRequest) -> bool:
    """Whether both sample the same bits, and show the same frames up to the rounding of 8 bits."""
    with tempfile.TemporaryDirectory() as folder:
        shown = ours(model, asked, Path(folder) / "latents").astype(int)
        latents = load_file(Path(folder) / "latents")["latents"]
    embeds = model.text.encode(asked.prompt)
    close = int(np.abs(shown - theirs(pipe, embeds, asked, "np")).max()) <= 1
    return close and torch.equal(latents, theirs(pipe, embeds, asked, "latent").cpu())


def seconds(work: Callable[[], object]) -> float:
    began = time.perf_counter()
    work()
    return time.perf_counter() - began


def interleaved(
    model: LoadedModel, pipe: Any, asked: SegmentRequest, pairs: int
) -> list[tuple[float, float]]:
    """Seconds of (ours, theirs); every other pair begins with theirs."""
    times = []
    for pair in range(pairs):
        works: list[Callable[[], object]] = [
            lambda: ours(model, asked),
            lambda: theirs(pipe, model.text.encode(asked.prompt), asked, "np"),
        ]
        order = (0, 1) if pair % 2 == 0 else (1, 0)
        spent = {side: seconds(works[side]) for side in order}
        times.append((spent[0], spent[1]))
    return times


def floor(model: LoadedModel, asked: SegmentRequest) -> tuple[float, Ceilings]:
    """Seconds of the job at the ceilings of this machine, and these."""
    high: Any = model.memory.module(model.experts[0])
    latents = (latent_count(asked.num_frames), asked.height // 8, asked.width // 8)
    forward = Forward.of(high.config, latents, TOKENS)
    with FlopCounterMode(display=False) as counter:
        ours(model, asked)
    # Attention of the processor has no counter; what is counted are products and convolutions.
    ceilings = measured(forward, NATIVE, CPU, model.recipe.dtype)
    attention = asked.steps * forward.attention
    return counter.get_total_flops() / ceilings.matmul + attention / ceilings.attention, ceilings


def case(model: LoadedModel, asked: SegmentRequest, pairs: int) -> dict[str, Any]:
    """One job on both sides. The run that proves them equal also warms both up."""
    pipe = pipeline(model.vae.module, [model.memory.module(expert) for expert in model.experts], asked)
    same = equal(model, pipe, asked)
    least, ceilings = floor(model, asked)
    times = interleaved(model, pipe, asked, pairs)
    own = statistics.median(a for a, _ in times)
    return {
        "size": f"{asked.height}x{asked.width}",
        "frames": asked.num_frames,
        "images": "start" if asked.end_image is None else "start and last",
        "ours_s": round(own, 4),
        "diffusers_s": round(statistics.median(b for _, b in times), 4),
        "ratio": round(statistics.median(b / a for a, b in times), 3),
        "over_floor": round(own / least, 2),
        "ceilings": ceilings.as_json(),
        "equal": same,
    }


def run(name: str, size: str, frames: int, pairs: int) -> list[dict[str, Any]]:
    """Start image alone, and start and last image."""
    model = loaded(name)
    height, width = map(int, size.split("x"))
    asked = [request(height, width, frames, end=end) for end in (False, True)]
    return [{"model": name} | case(model, each, pairs) for each in asked]


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--model", choices=["tiny", "small"], help="one model instead of both")
    parser.add_argument("--size", default="128x128", help="height x width in pixels, with --model")
    parser.add_argument("--frames", type=int, default=33, help="4k+1, with --model")
    parser.add_argument("--pairs", type=int, default=5, help="interleaved pairs per case")
    parser.add_argument("--json", action="store_true", help="end with one JSON line")
    options = parser.parse_args()
    runs = [(options.model, options.size, options.frames)] if options.model else DEFAULT_RUNS
    rows = [row for name, size, frames in runs for row in run(name, size, frames, options.pairs)]
    for row in rows:
        print(
            f"{row['model']:>5} {row['size']}x{row['frames']} {row['images']:<14} "
            f"ours {row['ours_s']:7.3f} s  diffusers {row['diffusers_s']:7.3f} s  "
            f"ratio {row['ratio']:.2f}  over floor {row['over_floor']:.1f}  equal {row['equal']}"
        )
    summary = {"ratio": min(row["ratio"] for row in rows), "equal": all(row["equal"] for row in rows)}
    machine = {
        "python": platform.python_version(),
        "torch": torch.__version__,
        "diffusers": diffusers.__version__,
        "threads": torch.get_num_threads(),
    }
    print(json.dumps({**summary, "machine": machine, "cases": rows}) if options.json else summary)
    return 0 if summary["equal"] else 1


if __name__ == "__main__":
    sys.exit(main())
