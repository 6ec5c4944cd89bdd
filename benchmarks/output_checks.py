"""What the output checks cost: processor time per frame and at a clip's end, at the sizes of real clips.

    python benchmarks/output_checks.py [--json]

`per_frame_ms` is spent in the measuring thread, beside the decoder. `end_ms` is what the engine's thread does
after the last frame: the sums, and PSNR of the first and the last frame against their images. `ssim_ms` comes
on top only where PSNR is low, and for every clip in the thread that publishes.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Callable
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import numpy as np

from headless.quality.clip_meter import ClipMeter
from headless.quality.fidelity import psnr, ssim
from headless.quality.thresholds import load_thresholds

SIZES = ((832, 480), (1280, 720))
FRAMES = 81


def processor_ms(call: Callable[[], object], times: int = 20) -> float:
    """The least processor time of one call in this thread, in milliseconds."""
    spent = []
    for _ in range(times):
        began = time.thread_time()
        call()
        spent.append(time.thread_time() - began)
    return round(min(spent) * 1000, 3)


def measured(width: int, height: int) -> dict[str, object]:
    """One size, with noise for frames: the worst case of every meter."""
    random = np.random.default_rng(0)
    one, other = (random.integers(0, 256, (height, width, 3), dtype=np.uint8) for _ in range(2))
    meter = ClipMeter(load_thresholds(), anchor=one)
    per_frame = processor_ms(lambda: meter.offer(one), FRAMES)
    comparison = processor_ms(lambda: psnr(one, other))
    return {
        "size": f"{width}x{height}",
        "per_frame_ms": per_frame,
        "clip_ms": round(per_frame * FRAMES, 1),
        "end_ms": round(processor_ms(meter.scores) + 2 * comparison, 3),
        "ssim_ms": processor_ms(lambda: ssim(one, other)),
    }


def main() -> int:
    """Print a table, or one JSON line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--json", action="store_true", help="end with one JSON line")
    as_json = parser.parse_args().json
    rows = [measured(*size) for size in SIZES]
    if as_json:
        print(json.dumps({"benchmark": "output_checks", "frames": FRAMES, "sizes": rows}))
        return 0
    for row in rows:
        print("  ".join(f"{name} {value}" for name, value in row.items()))
    return 0


if __name__ == "__main__":
    sys.exit(main())
