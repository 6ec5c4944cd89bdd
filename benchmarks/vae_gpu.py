"""The VAE on a GPU at full size: encode and decode of one clip, ours against diffusers', in turns.

    python benchmarks/vae_gpu.py [--size HxW] [--frames N] [--pairs N] [--dtype NAME] [--json]
    python benchmarks/vae_gpu.py --tiny --device cpu --size 16x32 --frames 13

Encoded are the clips that conditioning makes (a start image and grey; with an end image), in which ours skips
what it knows, and one that moves throughout, where it cannot. Decoded is a clip of that length; ours hands
over its frames as they come. `equal`: both sides gave the same bits, or the run fails. `ratio` is diffusers'
time over ours, the median over the pairs; the target of the first clip on one H200 is 3. `over_floor` is our
time over that of the same operations at the speed of the device's best convolution, measured in this run.

`layouts` times our decoder with its weights in torch's channels-last order beside the usual one
(`difference`: of all values, relative): another order is worth having only where it is faster here.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
# This file's own folder goes: it holds a queue.py, which torch would take for Python's.
sys.path[:] = [str(ROOT), *(e for e in sys.path if Path(e or ".").resolve() != ROOT / "benchmarks")]

import torch  # noqa: E402 - found from a checkout by the lines above
from torch import Tensor  # noqa: E402

from benchmarks.gpu import device as machine  # noqa: E402
from benchmarks.gpu.clock import best, interleaved, kernels  # noqa: E402
from benchmarks.gpu.networks import FULL, TINY, vae  # noqa: E402
from benchmarks.vae_encode import clips, counted  # noqa: E402
from models.vae import WanVae  # noqa: E402

NEEDED_GB = 24.0
ENCODE_RATIO = 3.0
SHORTEST = 13
CLIPS = ("start + grey", "start + grey + end", "moving")
TYPES = ("bfloat16", "float32")
Side = Callable[[], Tensor]


def encoders(module: WanVae, parts: list[Tensor]) -> tuple[Side, Side]:
    """Ours and diffusers' on one clip: normalised latents."""

    @torch.inference_mode()
    def ours() -> Tensor:
        return module.encode(parts)

    @torch.inference_mode()
    def theirs() -> Tensor:
        whole = torch.cat(parts, dim=1)[None].to(module.device, module.dtype)
        return module.normalise(module.module.encode(whole).latent_dist.mode()[0].float())

    return ours, theirs


def decoders(module: WanVae, latents: Tensor) -> tuple[Side, Side]:
    """Ours and diffusers' on the same latents: pixels."""

    @torch.inference_mode()
    def ours() -> Tensor:
        return torch.cat(list(module.decode_chunks(latents)), dim=1)

    @torch.inference_mode()
    def theirs() -> Tensor:
        scaled = module.denormalise(latents.to(module.device, module.dtype))[None]
        pixels: Tensor = module.module.decode(scaled).sample[0]
        return pixels.float()

    return ours, theirs


def ceiling(height: int, width: int, channels: int, device: torch.device, dtype: torch.dtype) -> float:
    """Operations per second of a convolution like the decoder's widest at full resolution."""
    # Of four frames, with the two of the cache before them.
    video = torch.randn(1, channels, 6, height, width, device=device, dtype=dtype)
    weight = torch.randn(channels, channels, 3, 3, 3, device=device, dtype=dtype)
    operations = 2 * 27 * channels * channels * 4 * height * width
    with torch.inference_mode():
        spent = best(lambda: torch.nn.functional.conv3d(video, weight, padding=(0, 1, 1)), device)
    return operations / spent


def compared(sides: tuple[Side, Side], pairs: int, peak: float, device: torch.device) -> dict[str, Any]:
    """Equality, operations, and times in turns."""
    (ours, our_work), (theirs, their_work) = counted(sides[0]), counted(sides[1])
    times = interleaved(*sides, pairs, device)
    return {
        "equal": torch.equal(ours, theirs),
        "ours_s": round(times.ours_s, 4),
        "diffusers_s": round(times.theirs_s, 4),
        "ratio": round(times.ratio, 3),
        "work_share": round(our_work / their_work, 4),
        "over_floor": round(times.ours_s / (our_work / peak), 3),
    }


def layouts(module: WanVae, latents: Tensor, pairs: int, device: torch.device) -> dict[str, Any]:
    """Our decoder as it is, and with channels-last weights."""
    usual, _ = decoders(module, latents)
    before = usual()
    other = WanVae(_channels_last(module))
    last, _ = decoders(other, latents)
    after = last()
    times = interleaved(last, usual, pairs, device)
    return {
        "channels_last_s": round(times.ours_s, 4),
        "usual_s": round(times.theirs_s, 4),
        "ratio": round(times.ratio, 3),
        "difference": round(float((after - before).norm() / before.norm()), 8),
    }


def _channels_last(module: WanVae) -> Any:
    """Another module with copies of the weights in the other order."""
    copy = type(module.module).from_config(module.module.config)
    copy.load_state_dict(module.module.state_dict())
    ready = torch.nn.Module.to(copy, device=module.device, dtype=module.dtype)
    orders = {4: torch.channels_last, 5: torch.channels_last_3d}
    for parameter in ready.parameters():
        if parameter.dim() in orders:
            parameter.data = parameter.data.contiguous(memory_format=orders[parameter.dim()])
    return ready.eval().requires_grad_(False)


def report(options: Any, device: torch.device) -> dict[str, Any]:
    """Everything, for one VAE."""
    height, width = machine.sides(options.size)
    dtype = getattr(torch, options.dtype)
    module = WanVae(vae(TINY if options.tiny else FULL, device, dtype))
    peak = ceiling(height, width, module.module.config.base_dim, device, dtype)
    made = clips(options.frames, height, width, str(device))
    rows = [
        {"clip": name, **compared(encoders(module, made[name]), options.pairs, peak, device)}
        for name in CLIPS
    ]
    shape = (16, (options.frames - 1) // 4 + 1, height // 8, width // 8)
    latents = torch.randn(shape, generator=torch.Generator().manual_seed(0)).to(device)
    sides = decoders(module, latents)
    return {
        "size": options.size,
        "frames": options.frames,
        "dtype": options.dtype,
        "ceiling_tflops": round(peak / 1e12, 3),
        "encode": rows,
        "decode": compared(sides, options.pairs, peak, device),
        "kernels": kernels(sides[0], device),
        "layouts": layouts(module, latents, options.pairs, device),
        "targets_met": None if options.tiny else {"encode": rows[0]["ratio"] >= ENCODE_RATIO},
    }


def show(told: dict[str, Any]) -> None:
    """For people."""
    print(
        f"{told['size']}x{told['frames']} {told['dtype']}, best convolution {told['ceiling_tflops']} TFLOP/s"
    )
    for row in [*told["encode"], {"clip": "decode", **told["decode"]}]:
        print(
            f"{row['clip']:<20} ours {row['ours_s']:8.4f} s  diffusers {row['diffusers_s']:8.4f} s  "
            f"ratio {row['ratio']:.2f}  work {row['work_share']:.3f}  over floor {row['over_floor']:.2f}  "
            f"equal {row['equal']}"
        )
    print("channels last:", told["layouts"])
    for kernel in told["kernels"]:
        print(f"{100 * kernel['share']:6.1f} %  {kernel['calls']:>6} x  {kernel['name'][:90]}")


def main() -> int:
    parser = machine.parser(__doc__)
    parser.add_argument("--dtype", choices=TYPES, default=TYPES[0])
    options = parser.parse_args()
    if options.frames < SHORTEST or options.frames % 4 != 1:
        parser.error(f"--frames is {options.frames}; legal are 13, 17, 21, ...")
    device = machine.device_of(options, "vae_gpu.py", NEEDED_GB)
    about = machine.about(device)
    told = report(options, device)
    show(told)
    if options.json:
        print(json.dumps({"benchmark": "vae_gpu", "tiny": options.tiny, "machine": about, **told}))
    equal = told["decode"]["equal"] and all(row["equal"] for row in told["encode"])
    return 0 if equal else 1


if __name__ == "__main__":
    sys.exit(main())
