"""The same with a real model, small enough for a processor."""

from __future__ import annotations

import numpy as np

from tests.crash.sites import Attempt, LocalSite

WAN = ("--engine", "wan", "--device", "cpu")


def test_a_video_after_a_kill_is_the_video_without_one(local_site: LocalSite) -> None:
    calm, task = (local_site.enqueue(steps=2) for _ in range(2))
    with local_site.start("doomed", *WAN, traps=["checkpointed*2=SIGKILL"]) as worker:
        worker.wait_killed()
    local_site.let_leases_run_out()
    assert local_site.work("rescuer", *WAN) == 0
    assert local_site.attempts(calm)[0].worker == "doomed"
    assert local_site.attempts(task) == [Attempt("doomed", "crashed"), Attempt("rescuer", "completed")]
    assert local_site.result(task)["engine"]["resumed"] is True
    assert np.array_equal(local_site.clip(task), local_site.clip(calm))
    assert local_site.here.litter == []
