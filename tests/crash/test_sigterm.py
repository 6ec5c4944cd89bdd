"""SIGTERM at every step: the task is given back uncharged, or finished; never half."""

from __future__ import annotations

import numpy as np
import pytest

from headless.segment import Clip
from headless.task import TaskStatus
from tests.crash.sites import Attempt, LocalSite, Site, SupabaseSite

GIVEN_BACK, FINISHED = Attempt("stopped", "released"), Attempt("stopped", "completed")


def _stop_at(
    site: Site, point: str, grace: float, signals: str = "SIGTERM", status: int = 0, tasks: int = 2
) -> list[str]:
    """Tasks, of which the first was under way when the worker was asked to stop."""
    queued = [site.enqueue() for _ in range(tasks)]
    with site.start("stopped", "--grace", str(grace), traps=[f"{point}={signals}"]) as worker:
        assert worker.wait() == status, worker.log
    return queued


def _untouched(site: Site, task: str) -> None:
    view = site.view(task)
    assert (view.status, view.attempts) == (TaskStatus.QUEUED, 0)
    assert set(site.attempts(task)) <= {GIVEN_BACK}


@pytest.mark.parametrize(
    ("point", "grace"),
    [
        ("claimed", 60),
        ("fetched", 60),
        ("phase:loading", 60),
        ("phase:encoding", 60),
        ("step:1", 0),
        ("decoding:2", 0),
        ("phase:checking", 0),
    ],
)
def test_a_task_that_does_not_fit_is_given_back(local_site: LocalSite, point: str, grace: float) -> None:
    task, next_task = _stop_at(local_site, point, grace)
    _untouched(local_site, next_task)
    _untouched(local_site, task)
    assert local_site.attempts(task) == [GIVEN_BACK]
    assert local_site.here.litter == []


@pytest.mark.parametrize("point", ["step:1", "decoding:2", "phase:checking"])
def test_a_task_that_fits_is_finished(local_site: LocalSite, point: str) -> None:
    task, next_task = _stop_at(local_site, point, 60)
    _untouched(local_site, next_task)
    assert local_site.attempts(task) == [FINISHED]
    assert local_site.view(task).status is TaskStatus.COMPLETE
    assert local_site.here.litter == []


@pytest.mark.parametrize("point", ["posting", "phase:uploading", "completing"])
def test_a_result_on_its_way_out_arrives(local_site: LocalSite, point: str) -> None:
    (task,) = _stop_at(local_site, point, 60, tasks=1)
    assert local_site.attempts(task) == [FINISHED]
    assert local_site.view(task).status is TaskStatus.COMPLETE
    assert local_site.here.litter == []


@pytest.mark.parametrize("point", ["phase:uploading", "stored:video.mp4"])
def test_a_result_that_cannot_be_uploaded_in_time_waits_for_the_next_start(
    local_site: LocalSite, undisturbed: Clip, point: str
) -> None:
    (task,) = _stop_at(local_site, point, 0, tasks=1)
    assert local_site.view(task).status is TaskStatus.IN_PROGRESS
    assert local_site.work("restarted") == 0
    assert local_site.attempts(task) == [FINISHED]
    assert np.array_equal(local_site.clip(task), undisturbed)
    assert local_site.here.litter == []


def test_a_prepared_task_is_given_back(local_site: LocalSite) -> None:
    task, next_task = _stop_at(local_site, "prepared*2", 60)
    assert local_site.attempts(task) == [FINISHED]
    assert local_site.attempts(next_task) == [GIVEN_BACK]
    _untouched(local_site, next_task)


def test_what_was_sampled_before_the_stop_is_used_afterwards(
    local_site: LocalSite, undisturbed: Clip
) -> None:
    task, _ = _stop_at(local_site, "decoding:2>checkpointed", 0)
    assert local_site.work("restarted") == 0
    assert local_site.attempts(task) == [GIVEN_BACK, Attempt("restarted", "completed")]
    assert local_site.result(task)["engine"]["resumed"] is True
    assert local_site.view(task).attempts == 1
    assert np.array_equal(local_site.clip(task), undisturbed)


def test_a_second_signal_leaves_at_once(local_site: LocalSite) -> None:
    task, _ = _stop_at(local_site, "step:1", 600, "SIGTERM+SIGTERM", status=130)
    assert local_site.attempts(task) == [Attempt("stopped", "running")]
    local_site.let_leases_run_out()
    assert local_site.work("rescuer") == 0
    assert local_site.attempts(task) == [Attempt("stopped", "crashed"), Attempt("rescuer", "completed")]
    assert local_site.here.litter == []


@pytest.mark.parametrize(("grace", "end"), [(0, GIVEN_BACK), (60, FINISHED)])
def test_a_stop_on_supabase(supabase_site: SupabaseSite, grace: float, end: Attempt) -> None:
    task, next_task = _stop_at(supabase_site, "step:1", grace)
    _untouched(supabase_site, next_task)
    assert supabase_site.attempts(task) == [end]
