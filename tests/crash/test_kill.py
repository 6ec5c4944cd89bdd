"""kill -9 at every step of a job: somebody else finishes it, once, and nothing is left lying about."""

from __future__ import annotations

import numpy as np
import pytest

from headless.segment import Clip
from headless.task import TaskStatus
from tests.crash.sites import Attempt, LocalSite, Site, SupabaseSite

BEFORE_THE_CHECKPOINT = (
    "claimed",
    "fetched",
    "prepared",
    "phase:loading",
    "phase:encoding",
    "phase:denoising",
    "step:1",
    "step:2",
    "step:3",
)
AFTER_THE_CHECKPOINT = (
    "checkpointed",
    "phase:decoding>checkpointed",
    "frame*3>checkpointed",
    "phase:checking>checkpointed",
    "posting>checkpointed",
)
IN_THE_OUTBOX = (
    "posted",
    "phase:uploading",
    "stored:video.mp4",
    "stored:poster.webp",
    "stored:result.json",
    "completing",
)
PUBLISHED = ("completed", "copying", "copied*2", "removing:outbox", "removing:jobs")

CRASHED, RESCUED = Attempt("doomed", "crashed"), Attempt("rescuer", "completed")
ONLY = Attempt("doomed", "completed")


def _check(site: Site, task: str, undisturbed: Clip, *attempts: Attempt) -> None:
    assert site.view(task).status is TaskStatus.COMPLETE
    assert site.attempts(task) == list(attempts)
    assert np.array_equal(site.clip(task), undisturbed)
    assert site.here.litter == []
    copies = {path.name for path in site.here.copies.iterdir()}
    suffixes = ("mp4", "json", "poster.webp", "contact_sheet.webp", "latents.safetensors")
    assert copies == {f"{task}.{suffix}" for suffix in suffixes}


@pytest.mark.parametrize("point", BEFORE_THE_CHECKPOINT)
def test_killed_before_the_checkpoint(local_site: LocalSite, undisturbed: Clip, point: str) -> None:
    task = local_site.enqueue()
    local_site.kill_at(point)
    assert point == "claimed" or local_site.here.litter
    local_site.let_leases_run_out()
    assert local_site.work("rescuer") == 0
    _check(local_site, task, undisturbed, CRASHED, RESCUED)
    assert "resumed" not in local_site.result(task)["engine"]


@pytest.mark.parametrize("point", AFTER_THE_CHECKPOINT)
def test_killed_after_the_checkpoint(local_site: LocalSite, undisturbed: Clip, point: str) -> None:
    task = local_site.enqueue()
    local_site.kill_at(point)
    local_site.let_leases_run_out()
    assert local_site.work("rescuer") == 0
    _check(local_site, task, undisturbed, CRASHED, RESCUED)
    assert local_site.result(task)["engine"]["resumed"] is True


@pytest.mark.parametrize("point", IN_THE_OUTBOX)
def test_killed_with_the_result_in_the_outbox(local_site: LocalSite, undisturbed: Clip, point: str) -> None:
    task = local_site.enqueue()
    local_site.kill_at(point)
    assert local_site.outputs(task) == []
    assert local_site.work("rescuer") == 0
    _check(local_site, task, undisturbed, ONLY)


@pytest.mark.parametrize("point", PUBLISHED)
def test_killed_after_the_publication(local_site: LocalSite, undisturbed: Clip, point: str) -> None:
    task = local_site.enqueue()
    local_site.kill_at(point)
    assert local_site.view(task).status is TaskStatus.COMPLETE
    assert local_site.here.litter
    assert local_site.work("rescuer") == 0
    _check(local_site, task, undisturbed, ONLY)


@pytest.mark.parametrize("point", ["posted", "stored:video.mp4", "completing"])
def test_a_result_that_came_too_late_is_dropped(local_site: LocalSite, undisturbed: Clip, point: str) -> None:
    task, there = local_site.enqueue(), local_site.another_machine()
    local_site.kill_at(point)
    local_site.let_leases_run_out()
    assert local_site.work("rescuer", machine=there) == 0
    published = local_site.outputs(task)
    assert local_site.work("doomed") == 0
    assert local_site.here.litter == there.litter == []
    assert local_site.outputs(task) == published
    assert local_site.attempts(task) == [CRASHED, RESCUED]
    assert list(local_site.here.copies.iterdir()) == []
    assert np.array_equal(local_site.clip(task), undisturbed)


@pytest.mark.parametrize(
    ("point", "attempts"),
    [
        ("step:2", [CRASHED, RESCUED]),
        ("frame*3>checkpointed", [CRASHED, RESCUED]),
        ("stored:video.mp4", [ONLY]),
    ],
)
def test_killed_on_supabase(
    supabase_site: SupabaseSite, undisturbed: Clip, point: str, attempts: list[Attempt]
) -> None:
    task = supabase_site.enqueue()
    supabase_site.kill_at(point)
    if len(attempts) > 1:
        supabase_site.let_leases_run_out()
    assert supabase_site.work("rescuer") == 0
    _check(supabase_site, task, undisturbed, *attempts)


def test_a_checkpoint_outlives_two_kills(local_site: LocalSite, undisturbed: Clip) -> None:
    task = local_site.enqueue()
    for point in ("checkpointed", "frame*3"):
        local_site.kill_at(point)
        local_site.let_leases_run_out()
    assert local_site.work("rescuer") == 0
    _check(local_site, task, undisturbed, CRASHED, CRASHED, RESCUED)
    assert local_site.result(task)["engine"]["resumed"] is True
