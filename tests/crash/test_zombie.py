"""A worker that was stopped for longer than its lease comes back: nothing that it does is seen."""

from __future__ import annotations

import contextlib
import signal
from pathlib import Path

import numpy as np
import pytest

from headless.segment import Clip
from headless.task import TaskStatus
from tests.crash.polling import until
from tests.crash.sites import Attempt, LocalSite, Site, SupabaseSite
from tests.supabase.stack import shared_stack

POINTS = ("fetched", "step:2", "frame*3", "phase:uploading", "stored:video.mp4", "completing")


def _haunt(site: Site, point: str, undisturbed: Clip) -> str:
    """The task that somebody else did while its worker was stopped; the zombie did another one afterwards."""
    task, there = site.enqueue(), site.another_machine()
    with site.start("zombie", traps=[f"{point}=SIGSTOP"]) as zombie:
        zombie.wait_stopped()
        site.let_leases_run_out()
        assert site.work("rescuer", machine=there) == 0
        published = site.outputs(task)
        next_task = site.enqueue()
        zombie.send(signal.SIGCONT)
        until(lambda: site.view(next_task).status is TaskStatus.COMPLETE, lambda: zombie.log)
        zombie.send(signal.SIGTERM)
        assert zombie.wait() == 0, zombie.log
        log = zombie.log
    assert site.outputs(task) == published
    assert f"/{task}/2/" in published[0]
    assert site.attempts(task) == [Attempt("zombie", "crashed"), Attempt("rescuer", "completed")]
    assert np.array_equal(site.clip(task), undisturbed)
    assert site.attempts(next_task) == [Attempt("zombie", "completed")]
    assert site.here.litter == []
    assert {path.name.split(".")[0] for path in site.here.copies.iterdir()} == {next_task}
    assert '"level": "error"' not in log, log
    assert "task abandoned" in log
    return task


@pytest.mark.parametrize("point", POINTS)
def test_a_zombie_goes_on_with_the_next_task(local_site: LocalSite, undisturbed: Clip, point: str) -> None:
    _haunt(local_site, point, undisturbed)


def test_a_zombie_on_supabase(supabase_site: SupabaseSite, undisturbed: Clip) -> None:
    _haunt(supabase_site, "step:2", undisturbed)


@pytest.mark.parametrize(("gpu_worker", "stored"), [(True, False), (False, True)])
def test_what_a_zombie_uploads_is_refused_or_unseen(
    tmp_path: Path, undisturbed: Clip, gpu_worker: bool, stored: bool
) -> None:
    """A worker's own token stores nothing for a lost attempt; what the fleet's key may store is not seen."""
    site = SupabaseSite(tmp_path / "site", shared_stack(), as_gpu_worker=gpu_worker)
    with contextlib.closing(site):
        task = _haunt(site, "storing:poster.webp", undisturbed)
        assert site.storage.exists(f"outputs/service/{task}/1/video.mp4")
        assert site.storage.exists(f"outputs/service/{task}/1/poster.webp") is stored
