"""Tasks that kill their worker, and machines that can no longer compute."""

from __future__ import annotations

import signal

from headless.task import TaskStatus
from tests.crash.polling import until
from tests.crash.sites import Attempt, LocalSite, Site

SICK = Attempt("well", "released")


def _status(site: Site, task: str) -> TaskStatus:
    return site.view(task).status


def test_a_poison_task_is_put_into_quarantine_and_the_fleet_goes_on(site: Site) -> None:
    poison = site.enqueue(prompt="[fault kill at step 1]")
    good = [site.enqueue() for _ in range(2)]
    for name in ("worker-1", "worker-2"):
        with site.start(name) as worker:
            worker.wait_killed()
        site.let_leases_run_out()
    assert site.work("worker-3") == 0
    view = site.view(poison)
    assert (view.status, view.error_class) == (TaskStatus.FAILED, "QUARANTINED")
    assert site.attempts(poison) == [Attempt("worker-1", "crashed"), Attempt("worker-2", "crashed")]
    assert [_status(site, task) for task in good] == [TaskStatus.COMPLETE] * 2


def test_the_task_prepared_beside_a_poison_task_is_not_suspected(local_site: LocalSite) -> None:
    poison, beside = local_site.enqueue(), local_site.enqueue()
    for name in ("worker-1", "worker-2"):
        local_site.kill_at("decoding:5>told:decoding:1&told:waiting:2", name=name)
        local_site.let_leases_run_out()
    assert local_site.work("worker-3") == 0
    assert local_site.view(poison).error_class == "QUARANTINED"
    assert local_site.attempts(beside) == [
        Attempt("worker-1", "crashed"),
        Attempt("worker-2", "crashed"),
        Attempt("worker-3", "completed"),
    ]


def test_a_machine_that_is_sick_on_two_tasks_removes_itself(local_site: LocalSite) -> None:
    tasks = [local_site.enqueue(prompt="[fault sick at step 1]") for _ in range(2)]
    with local_site.start("sick") as worker:
        assert worker.wait() == 1, worker.log
    for task in tasks:
        view = local_site.view(task)
        assert (view.status, view.attempts) == (TaskStatus.QUEUED, 0)
        assert local_site.attempts(task) == [Attempt("sick", "released")]
    assert local_site.here.litter == []


def test_one_task_does_not_make_a_machine_sick(local_site: LocalSite) -> None:
    strange = local_site.enqueue(prompt="[fault sick at step 1]")
    with local_site.start("well") as worker:
        until(lambda: local_site.attempts(strange).count(SICK) == 1, lambda: worker.log)
        local_site.let_leases_run_out()
        until(lambda: local_site.attempts(strange).count(SICK) == 2, lambda: worker.log)
        good = local_site.enqueue()
        until(lambda: _status(local_site, good) is TaskStatus.COMPLETE, lambda: worker.log)
        worker.send(signal.SIGTERM)
        assert worker.wait() == 0, worker.log
