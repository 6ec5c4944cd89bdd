"""An engine that hangs: its worker says so, leaves, and the task is taken over; twice, and it is put away."""

from __future__ import annotations

from headless.task import TaskStatus
from headless.wiring import HUNG
from tests.crash.sites import Attempt, LocalSite

QUICK_TO_NOTICE = ("--stall-seconds", "0.1", "--lease-seconds", "0.6", "--fake-step-seconds", "0")


def test_a_task_that_hangs_the_engine_is_put_into_quarantine(local_site: LocalSite) -> None:
    # Many steps: one that a busy machine made slow does not move their median.
    task = local_site.enqueue(prompt="[fault hang at step 40]", steps=50)
    for name in ("one", "two"):
        with local_site.start(name, *QUICK_TO_NOTICE) as worker:
            assert worker.wait() == HUNG, worker.log
            assert "the engine hangs" in worker.log
        assert local_site.view(task).progress["stalled"] is True
        local_site.let_leases_run_out()
    behind = local_site.enqueue()
    assert local_site.work("three") == 0
    assert local_site.attempts(task) == [Attempt("one", "crashed"), Attempt("two", "crashed")]
    assert local_site.view(task).error_class == "QUARANTINED"
    assert local_site.view(behind).status is TaskStatus.COMPLETE
    assert local_site.here.litter == []
