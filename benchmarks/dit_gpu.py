"""One forward of a Wan 2.2 A14B expert on a GPU: ours against diffusers' module as it comes, in turns.

    python benchmarks/dit_gpu.py [--size HxW] [--frames N] [--pairs N] [--attention NAME] [--compile BACKEND]
                                 [--json]
    python benchmarks/dit_gpu.py --tiny --device cpu --size 32x32 --frames 5 --compile eager

Both sides are one set of random weights of full size (28.6 GB in bfloat16), made on the device. Ours has the
attention kernel that the engine's probe chooses and compiled blocks. The run fails unless both give the same
bits without these two, and nearly the same with them (`difference`: of all values, relative).

`ratio` is diffusers' time over ours, the median over the pairs; the target on one H200 is 1.3.
`over_floor` is our time over the least that the ceilings of this very run allow (matrix product, attention;
nothing else takes time); the target is 1.25. `kernels` are those that took most of our forward.
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
from benchmarks.gpu.ceilings import Forward, measured  # noqa: E402
from benchmarks.gpu.clock import interleaved, kernels, rounded  # noqa: E402
from benchmarks.gpu.networks import FULL, TINY, TOKENS, transformer, twin  # noqa: E402
from headless.engine.attention import ASKABLE, choose_attention, set_attention  # noqa: E402
from headless.engine.compiled import compile_blocks  # noqa: E402

NEEDED_GB = 45.0
RATIO, OVER_FLOOR = 1.3, 1.25
TOLERANCE = 0.02
"""Of bfloat16 after 40 layers with other kernels; a wrong one is off by far more."""
COMPILERS = ("inductor", "eager", "off")


def inputs(module: Any, latents: tuple[int, int, int], device: torch.device) -> dict[str, Any]:
    """What a step gives the network, in its precision."""
    generator = torch.Generator(device).manual_seed(1)
    dtype, config = module.patch_embedding.weight.dtype, module.config
    video = torch.randn((1, config.in_channels, *latents), generator=generator, device=device)
    text = torch.randn((1, TOKENS, config.text_dim), generator=generator, device=device)
    return {
        "hidden_states": video.to(dtype),
        "timestep": torch.tensor([900.0], device=device),
        "encoder_hidden_states": text.to(dtype),
    }


def forward_of(module: Any, given: dict[str, Any]) -> Callable[[], Tensor]:
    """A call that runs the network once."""

    @torch.inference_mode()
    def run() -> Tensor:
        velocity: Tensor = module(**given, return_dict=False)[0]
        return velocity

    return run


def difference(ours: Tensor, theirs: Tensor) -> float | None:
    """Norm of the difference over the norm of theirs; None where a value is not finite."""
    if not bool(torch.isfinite(ours).all() and torch.isfinite(theirs).all()):
        return None
    return float((ours.float() - theirs.float()).norm() / theirs.float().norm())


def compared(options: Any, device: torch.device) -> dict[str, Any]:
    """Build both sides, prove them equal, time them, and measure the ceilings."""
    height, width = machine.sides(options.size)
    latents = ((options.frames - 1) // 4 + 1, height // 8, width // 8)
    dtype = machine.dtype_of(device)
    as_it_comes = transformer(TINY if options.tiny else FULL, device, dtype)
    ours = twin(as_it_comes)
    given = inputs(as_it_comes, latents, device)
    theirs = forward_of(as_it_comes, given)
    equal = torch.equal(forward_of(ours, given)(), theirs())
    kernel = choose_attention(options.attention, device, dtype)
    set_attention([ours], kernel)
    if options.compile != "off":
        compile_blocks([ours], backend=options.compile)
    fast = forward_of(ours, given)
    off = difference(fast(), theirs())
    pairs = interleaved(fast, theirs, options.pairs, device)
    work = Forward.of(as_it_comes.config, latents, TOKENS)
    ceilings = measured(work, kernel, device, dtype)
    floor = work.floor(ceilings)
    return {
        "size": options.size,
        "frames": options.frames,
        "dtype": str(dtype).removeprefix("torch."),
        "attention": kernel,
        "compile": options.compile,
        "equal": equal,
        "difference": off if off is None else round(off, 6),
        "ours_s": round(pairs.ours_s, 4),
        "diffusers_s": round(pairs.theirs_s, 4),
        "ratio": round(pairs.ratio, 3),
        "floor_s": round(floor, 4),
        "over_floor": round(pairs.ours_s / floor, 3),
        "petaflop": round((work.matmul + work.attention) / 1e15, 4),
        "ceilings": ceilings.as_json(),
        "pairs_s": {"ours": rounded(pairs.ours), "diffusers": rounded(pairs.theirs)},
        "kernels": kernels(fast, device),
        "targets_met": None if options.tiny else targets_met(pairs.ratio, pairs.ours_s / floor),
    }


def targets_met(ratio: float, over_floor: float) -> dict[str, bool]:
    """Set for one H200 at 480x832."""
    return {"ratio": ratio >= RATIO, "over_floor": over_floor <= OVER_FLOOR}


def show(row: dict[str, Any]) -> None:
    """For people."""
    print(
        f"{row['size']}x{row['frames']} {row['dtype']}, {row['petaflop']} PFLOP, "
        f"attention {row['attention']}: "
        f"ours {row['ours_s']} s  diffusers {row['diffusers_s']} s  ratio {row['ratio']}  "
        f"floor {row['floor_s']} s  over floor {row['over_floor']}  "
        f"equal {row['equal']}  difference {row['difference']}"
    )
    print("  ".join(f"{name} {value}" for name, value in row["ceilings"].items()))
    for kernel in row["kernels"]:
        print(f"{100 * kernel['share']:6.1f} %  {kernel['calls']:>6} x  {kernel['name'][:90]}")


def main() -> int:
    parser = machine.parser(__doc__)
    parser.add_argument("--attention", choices=ASKABLE, default="auto")
    parser.add_argument("--compile", choices=COMPILERS, default="inductor")
    options = parser.parse_args()
    device = machine.device_of(options, "dit_gpu.py", NEEDED_GB)
    about = machine.about(device)
    row = compared(options, device)
    show(row)
    if options.json:
        print(json.dumps({"benchmark": "dit_gpu", "tiny": options.tiny, "machine": about, **row}))
    near = row["difference"] is not None and row["difference"] < TOLERANCE
    return 0 if row["equal"] and near else 1


if __name__ == "__main__":
    sys.exit(main())
