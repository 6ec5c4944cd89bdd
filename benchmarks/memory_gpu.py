"""A job of Wan 2.2 A14B where memory is short: which plan the engine picks, and what it costs in time.

    python benchmarks/memory_gpu.py [--caps GB,GB] [--folder DIR] [--size HxW] [--frames N] [--pairs N]
                                    [--json]
    python benchmarks/memory_gpu.py --tiny --device cpu --size 32x48 --frames 5 --pairs 1 --caps 10.001

Random weights of full size are written to a folder (40 GB: both experts are one file, which takes the memory
of two), and the engine loads them as it would a published model, with `--memory auto`, while torch may take
no more than the cap: 24 and 48 GB. Then comes diffusers' pipeline with its group offloading (one block at a
time, prefetched) under the same cap. The sides do not take turns here, since only one of them has room; each
is timed after a job that is not. Both must sample the same bits, or the run fails.

`plan` is the memory plan that made the clip, `steps_down` how it came to it, `peak_gb` the most that tensors
held, `load_s` reading and placing the model.
"""

from __future__ import annotations

import json
import shutil
import statistics
import sys
import tempfile
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
# This file's own folder goes: it holds a queue.py, which torch would take for Python's.
sys.path[:] = [str(ROOT), *(e for e in sys.path if Path(e or ".").resolve() != ROOT / "benchmarks")]

import diffusers  # noqa: E402 - found from a checkout by the lines above
import torch  # noqa: E402
from diffusers.hooks import apply_group_offloading  # noqa: E402
from safetensors.torch import load_file  # noqa: E402
from torch import Tensor  # noqa: E402

from benchmarks.gpu import device as machine  # noqa: E402
from benchmarks.gpu.capped import Capped, hold_to, peak_gb  # noqa: E402
from benchmarks.gpu.clock import seconds  # noqa: E402
from benchmarks.gpu.model_folder import MODEL, bytes_of, write  # noqa: E402
from benchmarks.gpu.networks import FULL, TINY  # noqa: E402
from benchmarks.pipeline_cpu import Silent, pipeline, request, theirs  # noqa: E402
from headless.engine.wan import WanEngine  # noqa: E402
from headless.segment import Generation, SegmentRequest  # noqa: E402
from models.registry import load_models_def  # noqa: E402

NEEDED_GB, NEEDED_DISK_GB = 40.0, 42.0
CAPS = "24,48"


def run(engine: WanEngine, asked: SegmentRequest) -> Generation:
    """A job, all of its frames read."""
    generation = engine.generate(asked, Silent())
    for _ in generation.frames:
        pass
    return generation


def ours(
    folder: Path, asked: SegmentRequest, cap: int, options: Any, device: torch.device
) -> tuple[dict[str, Any], Tensor, Tensor]:
    """The engine under the cap: its figures, what it sampled, and the prompt's embeddings."""
    hold_to(device, cap)
    registry = load_models_def(folder / "configs")
    # The kernel of the other side, so that the bits can be compared.
    engine = WanEngine(
        registry, [folder], device=options.device, allocator=Capped(device, cap), attention="native"
    )
    load_s = seconds(lambda: engine.load(MODEL, Silent()), device)
    first = run(engine, asked)
    times = [seconds(lambda: run(engine, asked), device) for _ in range(options.pairs)]
    with tempfile.TemporaryDirectory() as scratch:
        if first.save_handoff is None:
            raise RuntimeError("the engine hands nothing over")
        first.save_handoff(Path(scratch) / "latents")
        latents = load_file(Path(scratch) / "latents")["latents"]
    embeds = engine._in_memory().text.encode(asked.prompt).cpu()
    told = {
        "plan": first.details["memory"],
        "steps_down": first.details.get("memory_steps_down", []),
        "load_s": round(load_s, 2),
        "ours_s": round(statistics.median(times), 3),
        "peak_gb": peak_gb(device),
    }
    return told, latents, embeds


def offloaded(folder: Path, asked: SegmentRequest, dtype: torch.dtype, device: torch.device) -> Any:
    """diffusers' pipeline with the same files, its transformer offloaded block by block.

    It stands for both experts: they are the same file, and little of it is on the device at any time.
    """
    transformer = diffusers.WanTransformer3DModel.from_pretrained(folder / "transformer", torch_dtype=dtype)
    vae = diffusers.AutoencoderKLWan.from_pretrained(folder / "vae", torch_dtype=dtype)
    for module in (transformer, vae):
        own_memory(module.eval().requires_grad_(False))
    apply_group_offloading(
        transformer,
        onload_device=device,
        offload_device=torch.device("cpu"),
        offload_type="block_level",
        num_blocks_per_group=1,
        use_stream=device.type == "cuda",
    )
    return pipeline(vae.to(device), (transformer, transformer), asked)


def own_memory(module: torch.nn.Module) -> None:
    """Out of the file's: kernels of a processor round differently where memory is aligned differently."""
    for parameter in module.parameters():
        parameter.data = parameter.data.clone()


def beside(
    folder: Path, asked: SegmentRequest, embeds: Tensor, cap: int, options: Any, device: torch.device
) -> dict[str, Any]:
    """The pipeline under the same cap, and what it sampled; it may run out of memory."""
    hold_to(device, cap)
    embeds = embeds.to(device)
    try:
        pipe = offloaded(folder, asked, machine.dtype_of(device), device)
        latents = theirs(pipe, embeds, asked, "latent").cpu()
        times = [seconds(lambda: theirs(pipe, embeds, asked, "np"), device) for _ in range(options.pairs)]
    except torch.OutOfMemoryError:
        return {"latents": None, "diffusers_s": None, "diffusers_peak_gb": peak_gb(device)}
    spent = round(statistics.median(times), 3)
    return {"latents": latents, "diffusers_s": spent, "diffusers_peak_gb": peak_gb(device)}


def report(folder: Path, options: Any, device: torch.device) -> dict[str, Any]:
    """Every cap."""
    height, width = machine.sides(options.size)
    asked = request(height, width, options.frames, end=False, model=MODEL)
    write(folder, TINY if options.tiny else FULL, device, machine.dtype_of(device))
    rows = []
    for gb in map(float, options.caps.split(",")):
        cap = int(gb * machine.GB)
        told, latents, embeds = ours(folder, asked, cap, options, device)
        other = beside(folder, asked, embeds, cap, options, device)
        sampled, spent = other.pop("latents"), other["diffusers_s"]
        other["equal"] = None if sampled is None else torch.equal(latents, sampled)
        other["ratio"] = None if spent is None else round(spent / told["ours_s"], 3)
        rows.append({"cap_gb": gb, **told, **other})
    hold_to(device, None)
    return {
        "size": options.size,
        "frames": options.frames,
        "dtype": str(machine.dtype_of(device)).removeprefix("torch."),
        "files_gb": round(bytes_of(folder) / machine.GB, 3),
        "caps": rows,
    }


def show(told: dict[str, Any]) -> None:
    """For people."""
    print(f"{told['size']}x{told['frames']} {told['dtype']}, files of {told['files_gb']} GB")
    for row in told["caps"]:
        down = "".join(f", {step['from']} ran out while {step['while']}" for step in row["steps_down"])
        print(
            f"{row['cap_gb']:g} GB: {row['plan']}{down}; loaded in {row['load_s']} s; ours {row['ours_s']} s "
            f"(peak {row['peak_gb']} GB)  diffusers {row['diffusers_s'] or 'out of memory'} s "
            f"(peak {row['diffusers_peak_gb']} GB)  equal {row['equal']}"
        )


def main() -> int:
    parser = machine.parser(__doc__)
    parser.add_argument("--caps", default=CAPS, help=f"GB, separated by commas (default {CAPS})")
    parser.add_argument("--folder", type=Path, help="where the weights are written; emptied afterwards")
    options = parser.parse_args()
    device = machine.device_of(options, "memory_gpu.py", NEEDED_GB)
    with tempfile.TemporaryDirectory(prefix="headless-memory-", dir=options.folder) as place:
        free = shutil.disk_usage(place).free / machine.GB
        if not options.tiny and free < NEEDED_DISK_GB:
            parser.error(f"--folder: {free:.0f} GB are free in {place}, and {NEEDED_DISK_GB:g} are needed")
        told = report(Path(place), options, device)
    show(told)
    if options.json:
        about = machine.about(device)
        print(json.dumps({"benchmark": "memory_gpu", "tiny": options.tiny, "machine": about, **told}))
    return 0 if all(row["equal"] is not False for row in told["caps"]) else 1


if __name__ == "__main__":
    sys.exit(main())
