"""A 4-step job of Wan 2.2 A14B on a GPU, end to end: ours against diffusers' pipeline, in turns.

    python benchmarks/job_gpu.py [--size HxW] [--frames N] [--pairs N] [--attention NAME] [--compile BACKEND]
                                 [--json]
    python benchmarks/job_gpu.py --tiny --device cpu --size 32x48 --frames 5 --pairs 1 --compile off

Two experts, a text encoder and a VAE of full size and random weights (69 GB in bfloat16), made on the device
and shared by both sides; the same noise, schedule, pictures and embeddings. A job begins with pictures in
main memory and ends with frames of 8 bits there. The run fails unless ours, without its own kernels, samples
the same bits as the pipeline, and nearly the same with them (`difference`: of all values, relative).

`ratio` is diffusers' time over ours, the median over the pairs; the target on one H200 at 480x832 is 1.6.
`stages` are seconds of one more job on each side; `denoising_over_floor` is our sampling over the least that
the ceilings of this very run allow (matrix product, attention; nothing else takes time).
"""

from __future__ import annotations

import json
import sys
import tempfile
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
# This file's own folder goes: it holds a queue.py, which torch would take for Python's.
sys.path[:] = [str(ROOT), *(e for e in sys.path if Path(e or ".").resolve() != ROOT / "benchmarks")]

import torch  # noqa: E402 - found from a checkout by the lines above
from safetensors.torch import load_file  # noqa: E402

from benchmarks.dit_gpu import COMPILERS, difference  # noqa: E402
from benchmarks.gpu import device as machine  # noqa: E402
from benchmarks.gpu.ceilings import Forward, measured  # noqa: E402
from benchmarks.gpu.clock import interleaved, rounded  # noqa: E402
from benchmarks.gpu.job import EXPERTS, model_of, random_parts, random_vae, their_stages  # noqa: E402
from benchmarks.gpu.networks import FULL, TINY, TOKENS, twin  # noqa: E402
from benchmarks.pipeline_cpu import equal, ours, pipeline, request, theirs, told  # noqa: E402
from headless.engine.attention import ASKABLE, choose_attention, set_attention  # noqa: E402
from headless.engine.compiled import compile_blocks  # noqa: E402
from headless.engine.loading import LoadedModel  # noqa: E402
from headless.engine.memory import Resident  # noqa: E402
from headless.segment import SegmentRequest  # noqa: E402

NEEDED_GB = 95.0
RATIO = 1.6
TOLERANCE = 0.05
"""Of bfloat16 after four forwards with other kernels."""


def models(options: Any, device: torch.device) -> tuple[LoadedModel, LoadedModel]:
    """The model as it comes, and with the engine's kernels, around the same weights."""
    dtype = getattr(torch, options.dtype) if options.dtype else machine.dtype_of(device)
    sizes = TINY if options.tiny else FULL
    parts, autoencoder = random_parts(sizes, device, dtype), random_vae(sizes, device, dtype)
    kernel = choose_attention(options.attention, device, dtype)
    fast: Any = {expert.value: twin(parts[expert.value]) for expert in EXPERTS}
    set_attention(fast.values(), kernel)
    if options.compile != "off":
        compile_blocks(fast.values(), backend=options.compile)
    memory = Resident({**parts, **fast}, device)
    return (
        model_of(Resident(parts, device), autoencoder, device),
        model_of(memory, autoencoder, device, attention=kernel),
    )


def off_by(fast: LoadedModel, pipe: Any, asked: SegmentRequest) -> float | None:
    """How far our latents are from the pipeline's."""
    with tempfile.TemporaryDirectory() as folder:
        ours(fast, asked, Path(folder) / "latents")
        latents = load_file(Path(folder) / "latents")["latents"]
    found = difference(latents, theirs(pipe, fast.text.encode(asked.prompt), asked, "latent").cpu())
    return None if found is None else round(found, 6)


def stages(fast: LoadedModel, pipe: Any, asked: SegmentRequest) -> dict[str, dict[str, float]]:
    """Seconds per stage, of one job on each side."""
    _, details = told(fast, asked)
    with their_stages(pipe, fast.vae.device) as spent:
        theirs(pipe, fast.text.encode(asked.prompt), asked, "np")
    return {
        "ours": {name: round(value, 4) for name, value in details["timings"].items()},
        "diffusers": {name: round(value, 4) for name, value in spent.items()},
    }


def compared(options: Any, device: torch.device) -> dict[str, Any]:
    """Both sides proved equal, timed in turns, and held against the ceilings."""
    height, width = machine.sides(options.size)
    asked = request(height, width, options.frames, end=options.end)
    plain, fast = models(options, device)
    pipe = pipeline(plain.vae.module, [plain.memory.module(expert) for expert in EXPERTS], asked)
    embeds = plain.text.encode(asked.prompt)
    same, off = equal(plain, pipe, asked), off_by(fast, pipe, asked)
    pairs = interleaved(
        lambda: ours(fast, asked), lambda: theirs(pipe, embeds, asked, "np"), options.pairs, device
    )
    per_stage = stages(fast, pipe, asked)
    high: Any = plain.memory.module(EXPERTS[0].value)
    work = Forward.of(high.config, ((options.frames - 1) // 4 + 1, height // 8, width // 8), TOKENS)
    ceilings = measured(work, fast.attention, device, plain.recipe.dtype)
    floor = asked.steps * work.floor(ceilings)
    return {
        "size": options.size,
        "frames": options.frames,
        "images": "start and last" if options.end else "start",
        "dtype": str(plain.recipe.dtype).removeprefix("torch."),
        "attention": fast.attention,
        "compile": options.compile,
        "equal": same,
        "difference": off,
        "ours_s": round(pairs.ours_s, 4),
        "diffusers_s": round(pairs.theirs_s, 4),
        "ratio": round(pairs.ratio, 3),
        "stages": per_stage,
        "denoising_floor_s": round(floor, 4),
        "denoising_over_floor": round(per_stage["ours"]["denoising"] / floor, 3),
        "ceilings": ceilings.as_json(),
        "pairs_s": {"ours": rounded(pairs.ours), "diffusers": rounded(pairs.theirs)},
        "targets_met": None if options.tiny else {"ratio": pairs.ratio >= RATIO},
    }


def show(row: dict[str, Any]) -> None:
    """For people."""
    print(
        f"{row['size']}x{row['frames']} {row['images']}, {row['dtype']}, attention {row['attention']}: "
        f"ours {row['ours_s']} s  diffusers {row['diffusers_s']} s  ratio {row['ratio']}  "
        f"equal {row['equal']}  difference {row['difference']}"
    )
    print(f"{'stage':<14} {'ours, s':>10} {'diffusers, s':>14}")
    for stage in dict.fromkeys([*row["stages"]["ours"], *row["stages"]["diffusers"]]):
        both = [row["stages"][side].get(stage) for side in ("ours", "diffusers")]
        print(f"{stage:<14} {both[0] or '':>10} {both[1] or '':>14}")
    print(f"denoising over its floor of {row['denoising_floor_s']} s: {row['denoising_over_floor']}")


def main() -> int:
    parser = machine.parser(__doc__)
    parser.add_argument("--end", action="store_true", help="with an end image too")
    parser.add_argument("--attention", choices=ASKABLE, default="auto")
    parser.add_argument("--compile", choices=COMPILERS, default="inductor")
    parser.add_argument(
        "--dtype", choices=("bfloat16", "float32"), help="default: the engine's on this device"
    )
    options = parser.parse_args()
    device = machine.device_of(options, "job_gpu.py", NEEDED_GB)
    about = machine.about(device)
    row = compared(options, device)
    show(row)
    if options.json:
        print(json.dumps({"benchmark": "job_gpu", "tiny": options.tiny, "machine": about, **row}))
    near = row["difference"] is not None and row["difference"] < TOLERANCE
    return 0 if row["equal"] and near else 1


if __name__ == "__main__":
    sys.exit(main())
