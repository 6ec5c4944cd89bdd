"""kill -9 and SIGTERM in a chain: finished segments are kept, the video is the one without an accident."""

from __future__ import annotations

import random

import numpy as np
import pytest

from headless.segment import Clip
from headless.task import Json, TaskStatus
from tests.crash.sites import Attempt, LocalSite, Site, SupabaseSite

SEGMENTS = 4


def _enqueue(site: Site, continuation: str) -> str:
    segments: list[Json] = [{"prompt": f"part {index}"} for index in range(SEGMENTS)]
    svi = continuation == "latents"
    return site.enqueue(segments=segments, num_frames=9, svi2pro=svi, continuation=continuation)


@pytest.fixture(scope="module")
def calm(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Clip]:
    """The frames of the chains when nothing goes wrong."""
    site = LocalSite(tmp_path_factory.mktemp("calm") / "site")
    tasks = {name: _enqueue(site, name) for name in ("latents", "last_frame")}
    assert site.work("calm") == 0
    clips = {name: site.clip(task) for name, task in tasks.items()}
    site.close()
    return clips


def _check(site: Site, task: str, clip: Clip, how: str, kept: int) -> None:
    assert site.view(task).status is TaskStatus.COMPLETE
    assert site.attempts(task) == [Attempt("doomed", how), Attempt("rescuer", "completed")]
    reused = [segment["reused"] for segment in site.result(task)["segments"]]
    assert reused == [True] * kept + [False] * (SEGMENTS - kept)
    assert np.array_equal(site.clip(task), clip)
    assert site.here.litter == []


@pytest.mark.parametrize("continuation", ["latents", "last_frame"])
def test_killed_when_any_segment_is_finished(
    local_site: LocalSite, calm: dict[str, Clip], continuation: str
) -> None:
    finished = random.SystemRandom().randint(1, SEGMENTS)
    task = _enqueue(local_site, continuation)
    local_site.kill_at(f"checkpointed*{finished}")
    local_site.let_leases_run_out()
    assert local_site.work("rescuer", machine=local_site.another_machine()) == 0
    assert local_site.view(task).status is TaskStatus.COMPLETE
    reused = [segment["reused"] for segment in local_site.result(task)["segments"]]
    assert reused == [True] * finished + [False] * (SEGMENTS - finished)
    assert np.array_equal(local_site.clip(task), calm[continuation])


def test_killed_while_the_movie_is_shown(local_site: LocalSite, calm: dict[str, Clip]) -> None:
    task = _enqueue(local_site, "latents")
    local_site.kill_at("stored:movie-0001.mp4>checkpointed")
    local_site.let_leases_run_out()
    assert local_site.work("rescuer") == 0
    assert local_site.result(task)["segments"][0]["reused"] is True
    assert np.array_equal(local_site.clip(task), calm["latents"])
    assert local_site.here.litter == []


def test_a_worker_that_is_asked_to_stop_gives_back_a_chain_between_segments(
    local_site: LocalSite, calm: dict[str, Clip]
) -> None:
    """Its first segment fits into the grace time, and is kept."""
    task = _enqueue(local_site, "latents")
    with local_site.start("doomed", "--grace", "60", traps=["step:2=SIGTERM"]) as worker:
        assert worker.wait() == 0, worker.log
    view = local_site.view(task)
    assert (view.status, view.attempts) == (TaskStatus.QUEUED, 0)
    local_site.let_leases_run_out()
    assert local_site.work("rescuer") == 0
    _check(local_site, task, calm["latents"], "released", 1)


def test_killed_on_supabase(supabase_site: SupabaseSite, calm: dict[str, Clip]) -> None:
    """The finished segments lie where another worker may read them, and where another task finds them."""
    task = _enqueue(supabase_site, "latents")
    supabase_site.kill_at("checkpointed*2")
    supabase_site.let_leases_run_out()
    again = _enqueue(supabase_site, "latents")
    assert supabase_site.work("rescuer") == 0
    _check(supabase_site, task, calm["latents"], "crashed", 2)
    assert [segment["reused"] for segment in supabase_site.result(again)["segments"]] == [True] * SEGMENTS
