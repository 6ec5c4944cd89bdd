"""What a worker adds to its engine: tasks back to back on an engine of a set pace.

    python benchmarks/overhead.py [--jobs N] [--rounds N] [--engine-ms N] [--fetch-ms N] [--upload-ms N]
                                  [--json]

The worker is the real one: loop, runner, queue and storage on disk, mp4, poster and contact sheet. Only the
engine is the fake one, and storage takes its time to hand out a task's picture and to take its video.

`ratio` is the time per task over the engine's own, from the end of the second task's generation (until then
the worker learns how long a task takes) to the end of the last one's; the target is 1.05. `whole` also counts
those two, what comes before the first and what comes after the last. `bare` is `ratio` of the engine without
a worker: what this machine, with what else runs on it, adds by itself. `serial` is `ratio` where nothing is
done beside the engine: the same worker, told to run one task and stop, again and again.
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
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
# This file's own folder goes: it holds a queue.py, which others would take for Python's.
sys.path[:] = [str(ROOT), *(e for e in sys.path if Path(e or ".").resolve() != ROOT / "benchmarks")]

import numpy as np  # noqa: E402 - found from a checkout by the lines above
import structlog  # noqa: E402
from PIL import Image  # noqa: E402

from benchmarks.queues.machine import machine  # noqa: E402
from benchmarks.queues.paced import STEPS, Pace, PacedEngine, PacedStorage  # noqa: E402
from benchmarks.queues.rig import MODEL, Rig, job, registry  # noqa: E402
from headless.adapters.sqlite_queue import SqliteQueue  # noqa: E402
from headless.job_listener import SilentListener  # noqa: E402
from headless.loop import LoopPolicy  # noqa: E402
from headless.segment import SegmentRequest  # noqa: E402
from headless.task import NewTask, TaskStatus  # noqa: E402

TARGET = 1.05
WARM_UP = 2
WIDTH, HEIGHT, FRAMES = 192, 64, 5
PICTURE = "inputs/local/start.png"


@dataclass(frozen=True)
class Measured:
    """Time per task over the engine's own; see this file's head."""

    jobs: int
    ratio: float
    median: float
    whole: float


class Place:
    """Queue, storage and worker in `folder`."""

    def __init__(self, folder: Path, pace: Pace) -> None:
        self.ended: list[float] = []
        """When the last frame of each task had been read."""
        self.queue = SqliteQueue(folder / "queue.sqlite3")
        storage = PacedStorage(folder / "files", pace)
        engine = PacedEngine(
            registry(), pace.engine, on_end=lambda *_: self.ended.append(time.perf_counter())
        )
        self.rig = Rig(folder, "overhead", self.queue, storage, engine)
        picture = folder / "start.png"
        noise = np.random.default_rng(0).integers(0, 255, (HEIGHT, WIDTH, 3), dtype=np.uint8)
        Image.fromarray(noise).save(picture)
        storage.put(PICTURE, picture, "image/png")

    def enqueue(self, jobs: int) -> None:
        """Queue equal tasks with a start image."""
        for seed in range(jobs):
            params = job("a cat yawns", seed, WIDTH, HEIGHT, FRAMES)
            self.queue.enqueue(NewTask(params=params | {"start_image": f"storage://{PICTURE}"}))

    def refuse_unfinished(self) -> None:
        """`RuntimeError` unless every task is complete."""
        complete = len(self.queue.list(TaskStatus.COMPLETE, limit=len(self.ended) + 1))
        if complete != len(self.ended) or self.queue.queued():
            raise RuntimeError(f"{complete} of {len(self.ended)} tasks are complete")


def gaps(ended: Sequence[float], engine: float) -> list[float]:
    """Time from each task's end to the next one's over the engine's, after the warm-up."""
    return [(after - before) / engine for before, after in itertools.pairwise(ended[WARM_UP - 1 :])]


def measure(jobs: int, pace: Pace, *, serial: bool = False) -> Measured:
    """Run `jobs` tasks after two of warm-up; with `serial` one after the other, nothing beside the engine."""
    with tempfile.TemporaryDirectory() as folder:
        place = Place(Path(folder), pace)
        try:
            place.enqueue(jobs + WARM_UP)
            began = time.perf_counter()
            for _ in range(jobs + WARM_UP if serial else 1):
                place.rig.loop(LoopPolicy(once=serial, until_idle=not serial)).run()
            seconds = time.perf_counter() - began
            place.refuse_unfinished()
        finally:
            place.queue.close()
    took = gaps(place.ended, pace.engine)
    whole = seconds / len(place.ended) / pace.engine
    return Measured(len(took), statistics.mean(took), statistics.median(took), whole)


def bare(jobs: int, pace: Pace) -> float:
    """The same for the engine alone, called again and again."""
    ended: list[float] = []
    engine = PacedEngine(registry(), pace.engine, on_end=lambda *_: ended.append(time.perf_counter()))
    engine.load(MODEL, SilentListener())
    request = SegmentRequest(
        model=MODEL,
        prompt="",
        negative_prompt="",
        width=WIDTH,
        height=HEIGHT,
        num_frames=FRAMES,
        steps=STEPS,
        guidance_scale=1.0,
        guidance_scale_2=1.0,
        flow_shift=5.0,
        seed=1,
        end_frame_mode="in_chunk",
        motion_latent_count=1,
        svi_pad_empty_frames_with_anchor=False,
    )
    for _ in range(jobs + WARM_UP):
        for _ in engine.generate(request, SilentListener()).frames:
            pass
    return statistics.mean(gaps(ended, pace.engine))


def rounded(measured: Measured) -> dict[str, Any]:
    return {name: round(value, 3) for name, value in asdict(measured).items()}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--jobs", type=int, default=100, help="tasks in a round")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--engine-ms", type=float, default=100)
    parser.add_argument("--fetch-ms", type=float, default=50)
    parser.add_argument("--upload-ms", type=float, default=50)
    parser.add_argument("--json", action="store_true", help="end with one line of JSON")
    options = parser.parse_args()
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.WARNING))
    pace = Pace(options.engine_ms / 1000, options.fetch_ms / 1000, options.upload_ms / 1000)
    few = min(options.jobs, 10)
    about = machine("numpy", "av", "pillow")
    serial = measure(few, pace, serial=True)
    floors, rounds = [], []
    for _ in range(options.rounds):
        floors.append(bare(few, pace))
        rounds.append(measure(options.jobs, pace))
    report = {
        "machine": about,
        "pace_ms": {name: round(1000 * value, 1) for name, value in asdict(pace).items()},
        "target": TARGET,
        "ratio": round(statistics.median(one.ratio for one in rounds), 3),
        "best": round(min(one.ratio for one in rounds), 3),
        "bare": round(statistics.median(floors), 3),
        "serial": round(serial.ratio, 3),
        "rounds": [rounded(one) for one in rounds],
    }
    if options.json:
        print(json.dumps(report))
        return
    print(f"{about['cpu']}, {about['cores']} cores, load {about['load']}")
    print(f"{'round':>6} {'jobs':>6} {'ratio':>8} {'median':>8} {'whole':>8}")
    for number, one in enumerate(rounds, 1):
        print(f"{number:>6} {one.jobs:>6} {one.ratio:>8.3f} {one.median:>8.3f} {one.whole:>8.3f}")
    print(f"engine alone {report['bare']}, one after the other {report['serial']}; target {TARGET}")


if __name__ == "__main__":
    main()
