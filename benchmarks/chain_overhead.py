"""What a chain adds to its engine: segments back to back in one task, on an engine of a set pace.

    python benchmarks/chain_overhead.py [--segments N] [--rounds N] [--engine-ms N] [--upload-ms N]
                                        [--width N] [--height N] [--frames N]
                                        [--continuation latents|pixels|last_frame] [--color-lock off|previous]
                                        [--json]

The worker is the real one: hand-off, hashes, checkpoints, mp4, movie, uploads of the movie so far, meters.
Only the engine is the fake one, and storage takes its time for every video. `ratio` is the time from the end
of one segment's last frame to that of the next over the engine's own time; the target is 1.05. `bare` is the
same of the engine without a worker: what this machine, with what else runs on it, adds by itself. `movie_ms`
says how long the appends and the last pass over the movie took for each segment, for half the segments and
for all of them: they should not differ, for writing is linear in the length of the movie.
"""

from __future__ import annotations

import argparse
import itertools
import json
import logging
import statistics
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
# This file's own folder goes: it holds a queue.py, which others would take for Python's.
sys.path[:] = [str(ROOT), *(e for e in sys.path if Path(e or ".").resolve() != ROOT / "benchmarks")]

import numpy as np  # noqa: E402 - found from a checkout by the lines above
import structlog  # noqa: E402
from PIL import Image  # noqa: E402

from benchmarks.queues.machine import machine  # noqa: E402
from benchmarks.queues.paced import Pace, PacedEngine, PacedStorage  # noqa: E402
from benchmarks.queues.rig import MODEL, Rig, job, registry  # noqa: E402
from headless.adapters.sqlite_queue import SqliteQueue  # noqa: E402
from headless.job_listener import SilentListener  # noqa: E402
from headless.loop import LoopPolicy  # noqa: E402
from headless.media.movie import Movie  # noqa: E402
from headless.media.video import VideoWriter  # noqa: E402
from headless.params import parse  # noqa: E402
from headless.plan import make_plan  # noqa: E402
from headless.request import SegmentInputs, build_request  # noqa: E402
from headless.task import Json, NewTask, TaskStatus  # noqa: E402

TARGET = 1.05
WARM_UP = 1
"""Segments after which the gaps count: the first comes after the model."""
PICTURE = "inputs/local/start.png"


@dataclass(frozen=True)
class Chain:
    """What is asked for."""

    segments: int
    width: int
    height: int
    frames: int
    continuation: str
    colour_lock: str

    def params(self) -> dict[str, Json]:
        """The parameters of the task."""
        parts: list[Json] = [{"prompt": f"part {index}"} for index in range(self.segments)]
        return job("a cat yawns", 7, self.width, self.height, self.frames) | {
            "start_image": f"storage://{PICTURE}",
            "svi2pro": self.continuation == "latents",
            "continuation": self.continuation,
            "color_lock": self.colour_lock,
            "segments": parts,
        }


def gaps(ended: Sequence[float], engine: float) -> list[float]:
    """Time from each segment's end to the next one's over the engine's."""
    return [(after - before) / engine for before, after in itertools.pairwise(ended[WARM_UP - 1 :])]


def measure(chain: Chain, pace: Pace) -> list[float]:
    """The gaps of one task."""
    ended: list[float] = []
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        queue = SqliteQueue(folder / "queue.sqlite3")
        storage = PacedStorage(folder / "files", pace)
        engine = PacedEngine(registry(), pace.engine, on_end=lambda *_: ended.append(time.perf_counter()))
        noise = np.random.default_rng(0).integers(0, 255, (chain.height, chain.width, 3), dtype=np.uint8)
        Image.fromarray(noise).save(folder / "start.png")
        storage.put(PICTURE, folder / "start.png", "image/png")
        queue.enqueue(NewTask(params=chain.params()))
        rig = Rig(folder, "chain", queue, storage, engine)
        try:
            rig.loop(LoopPolicy(once=True)).run()
            (task,) = queue.list(limit=1)
            if task.status is not TaskStatus.COMPLETE:
                raise RuntimeError(f"the task is {task.status.value}: {task.error_message}")
        finally:
            queue.close()
    return gaps(ended, pace.engine)


def bare(chain: Chain, pace: Pace) -> list[float]:
    """The same for the engine alone."""
    ended: list[float] = []
    engine = PacedEngine(registry(), pace.engine, on_end=lambda *_: ended.append(time.perf_counter()))
    engine.load(MODEL, SilentListener())
    params = job("a cat yawns", 7, chain.width, chain.height, chain.frames)
    plan = make_plan(parse("generate", params), registry().definition(MODEL), seed_source=lambda: 7)
    request = build_request(plan, SegmentInputs())
    for _ in range(min(chain.segments, 4)):
        for _ in engine.generate(request, SilentListener()).frames:
            pass
    return gaps(ended, pace.engine)


def movie_ms(chain: Chain, segments: int) -> float:
    """Milliseconds of writing the movie, per segment."""
    frame = np.random.default_rng(0).integers(0, 255, (chain.height, chain.width, 3), dtype=np.uint8)
    with tempfile.TemporaryDirectory() as name:
        clip = Path(name) / "clip.mp4"
        with VideoWriter(clip, width=chain.width, height=chain.height, fps=16) as video:
            for index in range(chain.frames):
                video.write(np.roll(frame, index, axis=1))
        movie = Movie(Path(name) / "movie.mp4")
        began = time.perf_counter()
        for _ in range(segments):
            movie.append(clip)
        movie.finish(Path(name) / "whole.mp4", {})
        return 1000 * (time.perf_counter() - began) / segments


def report(chain: Chain, pace: Pace, rounds: int) -> dict[str, Any]:
    """Everything that is measured, as JSON."""
    alone, taken = [], []
    for _ in range(rounds):
        alone.append(statistics.mean(bare(chain, pace)))
        taken.append(measure(chain, pace))
    means = [statistics.mean(one) for one in taken]
    many = 8 * chain.segments
    return {
        "machine": machine("numpy", "av", "pillow"),
        "chain": vars(chain),
        "engine_ms": 1000 * pace.engine,
        "upload_ms": 1000 * pace.upload,
        "target": TARGET,
        "ratio": round(statistics.median(means), 4),
        "best": round(min(means), 4),
        "worst_gap": round(max(max(one) for one in taken), 4),
        "bare": round(statistics.median(alone), 4),
        "rounds": [round(mean, 4) for mean in means],
        "movie_ms": {str(count): round(movie_ms(chain, count), 2) for count in (many // 2, many)},
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--segments", type=int, default=8, help="segments of the task")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--engine-ms", type=float, default=2000)
    parser.add_argument("--upload-ms", type=float, default=50)
    parser.add_argument("--width", type=int, default=192)
    parser.add_argument("--height", type=int, default=64)
    parser.add_argument("--frames", type=int, default=29)
    parser.add_argument("--continuation", choices=("latents", "pixels", "last_frame"), default="latents")
    parser.add_argument("--color-lock", choices=("off", "previous"), default="off")
    parser.add_argument("--json", action="store_true", help="end with one line of JSON")
    options = parser.parse_args()
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.ERROR))
    chain = Chain(
        options.segments,
        options.width,
        options.height,
        options.frames,
        options.continuation,
        options.color_lock,
    )
    pace = Pace(engine=options.engine_ms / 1000, fetch=0.0, upload=options.upload_ms / 1000)
    told = report(chain, pace, options.rounds)
    if options.json:
        print(json.dumps(told))
        return
    about = told["machine"]
    print(f"{about['cpu']}, {about['cores']} cores, load {about['load']}")
    print(f"{chain.segments} segments of {chain.frames} frames, {chain.width}x{chain.height}")
    print(f"ratio {told['ratio']} (best {told['best']}, worst gap {told['worst_gap']}), target {TARGET}")
    print(f"engine alone {told['bare']}; the movie, ms per segment: {told['movie_ms']}")


if __name__ == "__main__":
    main()
