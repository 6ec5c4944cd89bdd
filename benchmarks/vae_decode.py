"""Peak memory of decoding a short and a long clip: ours, streamed, against diffusers' own `vae.decode`.

    python benchmarks/vae_decode.py [--weights tiny|full|PATH] [--size HxW] [--frames 33,129] [--json]

The number is the most that tensors held at once while the frames were decoded and read, one at a time, as a
video encoder reads them. `sha256` is that of the frames: both sides show the same. Seconds are on the wall,
and behind them of the processor.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import sys
import tempfile
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any, TypeAlias

ROOT = Path(__file__).resolve().parents[1]
# This file's own folder goes: it holds a queue.py, which torch would take for Python's.
sys.path[:] = [str(ROOT), *(e for e in sys.path if Path(e or ".").resolve() != ROOT / "benchmarks")]

import torch  # noqa: E402 - found from a checkout by the lines above
from torch import Tensor  # noqa: E402
from torch.profiler import ProfilerActivity, profile  # noqa: E402

from benchmarks.vae_encode import Seconds, loaded, machine, seconds  # noqa: E402
from models.vae import WanVae  # noqa: E402


@torch.no_grad()
def ours(vae: WanVae, latents: Tensor) -> Iterator[Tensor]:
    yield from vae.decode_chunks(latents)


@torch.no_grad()
def theirs(vae: WanVae, latents: Tensor) -> Iterator[Tensor]:
    scaled = vae.denormalise(latents.to(vae.device, vae.dtype))[None]
    yield vae.module.decode(scaled).sample[0]


Side: TypeAlias = Callable[[WanVae, Tensor], Iterator[Tensor]]
SIDES: dict[str, Side] = {"ours": ours, "diffusers": theirs}


def decode_and_read(side: Side, vae: WanVae, latents: Tensor) -> str:
    """Read every frame and let it go; the hash of them all."""
    digest = hashlib.sha256()
    for chunk in side(vae, latents):
        for i in range(chunk.shape[1]):
            digest.update(chunk[:, i].float().cpu().contiguous().numpy().tobytes())
        del chunk
    return digest.hexdigest()


def peak_bytes(work: Callable[[], object], device: str) -> int:
    """The most bytes that tensors held at once in `work`, beyond what they held before."""
    if device == "cuda":
        before = torch.cuda.memory_allocated()
        torch.cuda.reset_peak_memory_stats()
        work()
        return torch.cuda.max_memory_allocated() - before
    with profile(activities=[ProfilerActivity.CPU], profile_memory=True) as recorded:
        work()
    with tempfile.TemporaryDirectory() as folder:
        trace = Path(folder) / "trace.json"
        recorded.export_chrome_trace(str(trace))
        events = json.loads(trace.read_text(encoding="utf-8"))["traceEvents"]
    totals = [event["args"]["Total Allocated"] for event in events if event.get("name") == "[memory]"]
    return int(max(totals) - min(totals))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--weights", help="tiny, full, or the path of a VAE", default="tiny")
    parser.add_argument("--size", help="height x width in pixels, such as 480x832", default="64x64")
    parser.add_argument("--frames", help="clip lengths, 4k+1", default="33,129")
    parser.add_argument("--rounds", type=int, default=3, help="how often each side is timed")
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--dtype", default="float32", choices=["float32", "bfloat16", "float16"])
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    options = parser.parse_args()
    vae = loaded(options.weights, options.device, getattr(torch, options.dtype))
    height, width = (int(size) // 8 for size in options.size.split("x"))
    shape = {"weights": options.weights, "size": options.size, "dtype": options.dtype}
    shown = machine(options.device)
    results = [
        row for n in options.frames.split(",") for row in measured(vae, int(n), height, width, options)
    ]
    if options.json:
        print(json.dumps({"machine": shown, **shape, "results": results}))
        return
    print(shown, shape)
    for row in results:
        print(
            f"{row['frames']:>4} frames  {row['side']:<10} peak {row['peak_mb']:8.2f} MB  "
            f"{row['seconds']:7.2f} s {row['processor_seconds']:7.2f} s  sha256 {row['sha256']}"
        )


def measured(
    vae: WanVae, frames: int, height: int, width: int, options: argparse.Namespace
) -> list[dict[str, Any]]:
    """Both sides at one length: peak memory in one pass, then times, taking turns."""
    count = (frames - 1) // 4 + 1
    latents = torch.randn(16, count, height, width, generator=torch.Generator().manual_seed(0))
    times: dict[str, list[Seconds]] = {side: [] for side in SIDES}
    peaks = {
        name: peak_bytes(partial(decode_and_read, side, vae, latents), options.device)
        for name, side in SIDES.items()
    }
    for _ in range(options.rounds):
        for name, side in SIDES.items():
            times[name].append(seconds(partial(decode_and_read, side, vae, latents), options.device))
    hashes = {name: decode_and_read(side, vae, latents) for name, side in SIDES.items()}
    return [
        {
            "side": name,
            "frames": frames,
            "peak_mb": round(peaks[name] / 2**20, 2),
            "seconds": round(Seconds.median(times[name]).wall, 3),
            "processor_seconds": round(Seconds.median(times[name]).processor, 3),
            "sha256": hashes[name][:16],
        }
        for name in SIDES
    ]


if __name__ == "__main__":
    main()
