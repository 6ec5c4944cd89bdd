"""Whole workers of two ranks, from the queue to the stored video."""

from __future__ import annotations

import os
import signal
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from headless.publish import LATENTS_FILE, VIDEO_FILE
from headless.settings import worker_settings
from headless.wiring import build_worker, follow
from tests.parallel.processes import TORCHRUN, Agent, Process
from tests.worker.mp4 import read_mp4
from tests.worker.place import Place

CPU = ("--device", "cpu")


def test_under_torchrun_the_video_is_that_of_one_rank_and_a_signal_to_any_rank_ends_all(
    place: Place, tmp_path: Path
) -> None:
    alone, together = (place.enqueue(place.job(steps=2, num_frames=9, guidance_scale=3.0)) for _ in range(2))
    assert place.work(*CPU, engine="wan", until="--once") == 0
    # torchrun would take --local for the beginning of one of its own options.
    flags = ["--", "worker.py", *place.flags(*CPU)]
    with Process(tmp_path / "log", [*TORCHRUN, *flags]) as worker:
        other = worker.wait_for("ranks joined")["processes"][1]
        worker.wait_for("task complete")
        os.kill(other, signal.SIGTERM)
        assert worker.wait() == 0, worker.log
        assert {line["rank"] for line in worker.lines("waiting for work")} == {1}
        assert worker.lines("asked to stop; telling rank 0")[0]["rank"] == 1
        assert worker.lines("worker stopped")[0]["rank"] == 0
        assert worker.lines("rank 0 is done")
        assert {line["rank"] for line in worker.lines("task claimed")} == {0}
    assert place.result(together)["engine"]["ranks"] == 2
    assert place.result(alone)["engine"]["ranks"] == 1
    latents = [place.stored(task, LATENTS_FILE).read_bytes() for task in (alone, together)]
    assert latents[0] == latents[1]
    videos = [read_mp4(place.stored(task, VIDEO_FILE)).coded_sha256 for task in (alone, together)]
    assert videos[0] == videos[1]


def test_both_sides_of_a_worker(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    """As above, with the ranks as threads: rank 0 beside, as the one that follows listens to signals."""
    task = place.enqueue(place.job())
    agent = Agent()
    variables = [agent.environment(rank, 2) for rank in range(2)]
    for name in ("MASTER_ADDR", "MASTER_PORT", "TORCHELASTIC_USE_AGENT_STORE"):
        monkeypatch.setenv(name, variables[0][name])
    settings = [worker_settings(place.flags(*CPU, "--until-idle"), own) for own in variables]

    def lead() -> int:
        with build_worker(settings[0]) as worker:
            return worker.run()

    with ThreadPoolExecutor(1) as beside:
        status = beside.submit(lead)
        assert follow(settings[1]) == 0
        assert status.result() == 0
    assert place.result(task)["engine"]["ranks"] == 2


def test_when_a_rank_dies_the_task_goes_back_and_the_other_leaves(place: Place, tmp_path: Path) -> None:
    agent = Agent()
    ranks = [
        Process(tmp_path / f"log{rank}", ["worker.py", *place.flags(*CPU)], agent.environment(rank, 2))
        for rank in range(2)
    ]
    with ranks[0] as leader, ranks[1] as other:
        other.wait_for("waiting for work")
        # It stands still, so that rank 0 is certainly waiting for it when it dies.
        other.send(signal.SIGSTOP)
        task = place.enqueue(place.job())
        leader.wait_for("loading")
        other.send(signal.SIGKILL)
        assert leader.wait() == 1, leader.log
        assert other.wait() == -signal.SIGKILL
        given_back = leader.wait_for("task given back, this machine cannot run it")
    assert given_back["error_class"] == "RANK_LOST"
    assert "Another rank of this worker has died" in given_back["why"]
    assert place.view(task).status.value == "Queued"
    assert place.outcome(task) == "released"
