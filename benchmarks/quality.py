"""How well end-frame modes and ways of continuing keep to what they are told, on a small trained model.

    python benchmarks/quality.py [--models FOLDER] [--scenes 64] [--only modes|continuations|chains] [--json]

FOLDER is what `scripts/train` made; the shipped tiny model is taken by default. The scenes are held out: one
shape that moves over a coloured background, 64x64, 17 frames. A small model of a synthetic world compares
methods; it does not foretell what a full-size model does.
"""

from __future__ import annotations

import argparse
import json
import logging
import sys
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from statistics import fmean
from typing import Final

ROOT = Path(__file__).resolve().parents[1]
# Beside this file lies a queue.py, which is not Python's.
sys.path[:] = [str(ROOT), *(e for e in sys.path if Path(e or ".").resolve() != ROOT / "benchmarks")]

import structlog  # noqa: E402 - found by the lines above

from benchmarks.trained.clips import (  # noqa: E402
    FRAMES,
    Chain,
    Studio,
    changed_psnr,
    held_out,
    pictures,
)
from headless.quality.clip_meter import measure, seam_between  # noqa: E402
from headless.quality.drift import drift  # noqa: E402
from headless.quality.fidelity import fidelity, psnr  # noqa: E402
from headless.quality.frame_look import look_at  # noqa: E402
from headless.quality.thresholds import load_thresholds  # noqa: E402

MODES: Final = ("none", "extra_latent", "in_chunk", "slot", "repeat_4")
METHODS: Final = {
    "latents": "latent hand-off (SVI)",
    "bare": "latent hand-off without the SVI LoRAs",
    "renewed": "latent hand-off, its anchor renewed",
    "pixels": "9-frame prefix",
    "last_frame": "last frame only",
}
LIGHTNING: Final = "extra_latent, 4 steps with their LoRAs"
FEW_STEPS: Final = "extra_latent, 4 steps without"
LIGHTNING_LORAS: Final = "wan_tiny_lightning_4steps"
SEGMENTS: Final = 6

Row = Mapping[str, float]


def mode_row(studio: Studio, mode: str, number: int) -> Row:
    """One scene from its start to its end image, or without the end image, or in 4 steps."""
    scene = held_out(number)
    truth = pictures(scene, 0, FRAMES + 1)
    used = "extra_latent" if mode in ("none", LIGHTNING, FEW_STEPS) else mode
    end = truth[FRAMES if used == "extra_latent" else FRAMES - 1]
    told: dict[str, object] = {} if mode == "none" else {"end_image": end, "end_frame_mode": used}
    if mode in (LIGHTNING, FEW_STEPS):
        told |= {"steps": 4, "solver": "euler"}
    if mode == LIGHTNING:
        told["loras"] = studio.lora_pair(LIGHTNING_LORAS)
    shot = studio.shoot(studio.request(scene, number, start_image=truth[0], **told))
    first, last = fidelity(shot.frames[0], truth[0]), fidelity(shot.end, end)
    return {
        "start_psnr": first.psnr,
        "start_ssim": first.ssim,
        "end_psnr": last.psnr,
        "end_ssim": last.ssim,
        "end_psnr_changed": changed_psnr(shot.end, end, truth[0]),
        "truth_psnr": fmean(psnr(a, b) for a, b in zip(shot.frames, truth, strict=False)),
        "motion": measure(shot.frames, load_thresholds()).motion,
    }


def continuation_row(studio: Studio, method: str, number: int) -> Row:
    """Two clips of one scene, the second continuing the first."""
    scene = held_out(number)
    with tempfile.TemporaryDirectory() as folder:
        chain = Chain(studio, scene, number, method, Path(folder))
        chain.go_on()
        new = chain.go_on()
    before, after = chain.frames[:-new], chain.frames[-new:]
    seam = seam_between(list(before), list(after))
    ahead = pictures(scene, FRAMES, new)
    limits = load_thresholds()
    return {
        "new_frames": new,
        "seam_difference": seam.difference,
        "seam_colour": seam.colour,
        "truth_psnr": fmean(psnr(a, b) for a, b in zip(after, ahead, strict=True)),
        "motion_kept": measure(after, limits).motion / max(measure(before, limits).motion, 0.1),
    }


def chain_row(studio: Studio, method: str, number: int) -> Row:
    """Six clips of one scene: how far the end is from the start image."""
    scene = held_out(number)
    with tempfile.TemporaryDirectory() as folder:
        chain = Chain(studio, scene, number, method, Path(folder))
        for _ in range(SEGMENTS):
            chain.go_on()
    wandered = drift([look_at(frame) for frame in chain.frames[-4:]], look_at(pictures(scene, 0, 1)[0]))
    return {"delta_e": wandered.delta_e, "contrast": wandered.contrast, "frames": len(chain.frames)}


def rows(studio: Studio, scenes: int, only: str | None) -> Iterator[dict[str, object]]:
    """Every row of the tables, averaged over the scenes."""
    if only in (None, "modes"):
        for mode in (*MODES, FEW_STEPS, *([LIGHTNING] if studio.lora_pair(LIGHTNING_LORAS) else [])):
            yield _averaged("end frame", mode, [mode_row(studio, mode, n) for n in range(scenes)])
    for method, name in METHODS.items():
        if only in (None, "continuations"):
            found = [continuation_row(studio, method, n) for n in range(scenes)]
            yield _averaged("continuation", name, found)
        if only in (None, "chains"):
            found = [chain_row(studio, method, n) for n in range(scenes)]
            yield _averaged(f"chain of {SEGMENTS}", name, found)


def _averaged(table: str, name: str, found: list[Row]) -> dict[str, object]:
    means = {key: round(fmean(min(row[key], 99.0) for row in found), 3) for key in found[0]}
    return {"benchmark": "quality", "table": table, "method": name, "scenes": len(found), **means}


def main() -> int:
    """Print one line per row."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--models", type=Path, default=ROOT / "models", help="the folder of the model")
    parser.add_argument("--scenes", type=int, default=64)
    parser.add_argument("--only", choices=("modes", "continuations", "chains"))
    parser.add_argument("--json", action="store_true", help="one JSON line per row")
    options = parser.parse_args()
    # The worker's log goes to standard output, where the rows go.
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.WARNING))
    studio = Studio(options.models)
    for row in rows(studio, options.scenes, options.only):
        told = json.dumps(row) if options.json else "  ".join(f"{key} {value}" for key, value in row.items())
        print(told, flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
