"""The VAE encode of one conditioned clip: ours against diffusers' own `vae.encode`, interleaved in one run.

    python benchmarks/vae_encode.py [--weights tiny|full|PATH] [--size HxW] [--frames N] [--json]

`tiny` is the golden VAE (base_dim 8), `full` a random one of full size (base_dim 96). Without arguments both
run, at sizes that a small machine holds. `equal` says whether the latents are the same bits. Beside the
seconds on the wall stand those that the processor worked, which a machine shared with others (see `load`)
spoils less.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import statistics
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
# This file's own folder goes: it holds a queue.py, which torch would take for Python's.
sys.path[:] = [str(ROOT), *(e for e in sys.path if Path(e or ".").resolve() != ROOT / "benchmarks")]

import diffusers  # noqa: E402 - found from a checkout by the lines above
import torch  # noqa: E402
from torch import Tensor  # noqa: E402
from torch.utils.flop_counter import FlopCounterMode  # noqa: E402

from models.vae import WanVae  # noqa: E402

TINY = ROOT / "tests" / "data" / "golden" / "tiny_wan_vae.safetensors"
DEFAULT_RUNS = (("tiny", 64, 64), ("full", 48, 48))


def loaded(weights: str, device: str, dtype: torch.dtype) -> WanVae:
    """The VAE of that name or path."""
    if weights != "full":
        return WanVae.load(TINY if weights == "tiny" else weights, dtype=dtype, device=device)
    torch.manual_seed(0)
    module = diffusers.AutoencoderKLWan().eval().requires_grad_(False)
    return WanVae(torch.nn.Module.to(module, device, dtype))  # without diffusers' note on casting


def clips(frames: int, height: int, width: int, device: str) -> dict[str, list[Tensor]]:
    """What conditioning encodes, and a clip that moves throughout, where nothing can be skipped."""
    generator = torch.Generator().manual_seed(0)
    start, end = (torch.rand(3, 1, height, width, generator=generator).to(device) * 2 - 1 for _ in "se")
    prefix = torch.rand(3, 9, height, width, generator=generator).to(device) * 2 - 1
    grey = torch.zeros(3, 1, height, width, device=device)
    return {
        "start + grey": [start, grey.expand(-1, frames - 1, -1, -1)],
        "start + grey + end": [start, grey.expand(-1, frames - 2, -1, -1), end],
        "start repeated + end": [start, start.expand(-1, frames - 2, -1, -1), end],
        "9 frames + grey + end": [prefix, grey.expand(-1, frames - 10, -1, -1), end],
        "moving": [prefix.repeat(1, frames // 9 + 1, 1, 1)[:, :frames].contiguous()],
    }


@dataclass(frozen=True)
class Seconds:
    """How long something took: on the wall, and on the processor, all threads together."""

    wall: float
    processor: float

    @classmethod
    def median(cls, several: Sequence[Seconds]) -> Seconds:
        return cls(
            statistics.median(one.wall for one in several),
            statistics.median(one.processor for one in several),
        )


def seconds(work: Callable[[], object], device: str) -> Seconds:
    """The time of one call, the device's work included."""
    wall, processor = time.perf_counter(), time.process_time()
    work()
    if device != "cpu":
        torch.accelerator.synchronize()
    return Seconds(time.perf_counter() - wall, time.process_time() - processor)


def counted(work: Callable[[], Tensor]) -> tuple[Tensor, int]:
    """The latents, and the floating-point operations that they took."""
    with FlopCounterMode(display=False) as counter:
        latents = work()
    return latents, int(counter.get_total_flops())


@torch.no_grad()
def measured(vae: WanVae, parts: list[Tensor], rounds: int) -> dict[str, Any]:
    """Both sides in turn, `rounds` times after one that is not timed."""

    def ours() -> Tensor:
        return vae.encode(parts)

    def theirs() -> Tensor:
        whole = torch.cat(parts, dim=1)[None].to(vae.device, vae.dtype)
        return vae.normalise(vae.module.encode(whole).latent_dist.mode()[0].float())

    (our_latents, our_flops), (their_latents, their_flops) = counted(ours), counted(theirs)
    times = [(seconds(ours, vae.device.type), seconds(theirs, vae.device.type)) for _ in range(rounds)]
    own, other = (Seconds.median(side) for side in zip(*times, strict=True))
    return {
        "ours_s": round(own.wall, 4),
        "diffusers_s": round(other.wall, 4),
        "speedup": round(other.wall / own.wall, 2),
        "ours_processor_s": round(own.processor, 4),
        "diffusers_processor_s": round(other.processor, 4),
        "processor_speedup": round(other.processor / own.processor, 2),
        "flops_share": round(our_flops / their_flops, 4),
        "equal": torch.equal(our_latents, their_latents),
    }


def machine(device: str) -> dict[str, Any]:
    """What the numbers depend on."""
    cpu = next((line.split(":")[1].strip() for line in _cpuinfo() if line.startswith("model name")), "")
    return {
        "cpu": cpu or platform.processor(),
        "cores": os.cpu_count(),
        "load": round(os.getloadavg()[0], 1),
        "threads": torch.get_num_threads(),
        "device": torch.cuda.get_device_name() if device == "cuda" else device,
        "python": platform.python_version(),
        "torch": torch.__version__,
        "diffusers": diffusers.__version__,
    }


def _cpuinfo() -> list[str]:
    path = Path("/proc/cpuinfo")
    return path.read_text(encoding="utf-8").splitlines() if path.exists() else []


def run(weights: str, height: int, width: int, options: argparse.Namespace) -> list[dict[str, Any]]:
    """Every clip with one VAE."""
    vae = loaded(weights, options.device, getattr(torch, options.dtype))
    shared = {"weights": weights, "frames": options.frames, "height": height, "width": width}
    cases = clips(options.frames, height, width, options.device)
    return [
        shared | {"clip": clip, "dtype": options.dtype, **measured(vae, parts, options.rounds)}
        for clip, parts in cases.items()
    ]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--weights", help="tiny, full, or the path of a VAE")
    parser.add_argument("--size", help="height x width in pixels, such as 480x832", default="64x64")
    parser.add_argument("--frames", type=int, default=81)
    parser.add_argument("--rounds", type=int, default=3, help="how often each side is timed")
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--dtype", default="float32", choices=["float32", "bfloat16", "float16"])
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    options = parser.parse_args()
    height, width = map(int, options.size.split("x"))
    runs = [(options.weights, height, width)] if options.weights else list(DEFAULT_RUNS)
    shown = machine(options.device)
    results = [row for weights, height, width in runs for row in run(weights, height, width, options)]
    if options.json:
        print(json.dumps({"machine": shown, "results": results}))
        return
    print(shown)
    for row in results:
        print(
            f"{row['weights']:>5} {row['height']}x{row['width']}x{row['frames']} {row['dtype']} "
            f"{row['clip']:<22} ours {row['ours_s']:8.3f} s  diffusers {row['diffusers_s']:8.3f} s  "
            f"x{row['speedup']:<5} processor {row['ours_processor_s']:8.3f} s  "
            f"{row['diffusers_processor_s']:8.3f} s  x{row['processor_speedup']:<5} "
            f"FLOPs {row['flops_share']:.3f}  equal {row['equal']}"
        )


if __name__ == "__main__":
    main()
