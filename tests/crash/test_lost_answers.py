"""Every answer of the queue is lost once: the call was carried out, and the worker never hears of it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from headless.errors import QueueUnavailable
from headless.segment import Clip
from headless.settings import worker_settings
from headless.task import Capability, CompleteAnswer, TaskStatus
from headless.wiring import build_worker
from tests.crash.sites import Attempt, LocalSite, Site

Then = Callable[[Any], None]


def _lose(patch: pytest.MonkeyPatch, site: Site, call: str, then: Then = lambda answer: None) -> list[Any]:
    """Lose the first answer of a call; `then` is told what it was. The answers that were heard come back."""
    queue, heard, lost = type(site.queue), list[Any](), list[Any]()
    inner = getattr(queue, call)

    def lossy(*arguments: Any, **named: Any) -> Any:
        answer = inner(*arguments, **named)
        if lost:
            heard.append(answer)
            return answer
        lost.append(answer)
        then(answer)
        raise QueueUnavailable("the answer was lost")

    patch.setattr(queue, call, lossy)
    return heard


@pytest.mark.parametrize("call", ["claim", "renew", "checkpoint", "complete"])
def test_nothing_is_lost_or_doubled(
    site: Site, undisturbed: Clip, monkeypatch: pytest.MonkeyPatch, call: str
) -> None:
    task = site.enqueue()
    heard = _lose(monkeypatch, site, call)
    assert site.work("worker") == 0
    assert site.view(task).status is TaskStatus.COMPLETE
    assert site.attempts(task) == [Attempt("worker", "completed")]
    assert np.array_equal(site.clip(task), undisturbed)
    assert (site.here.copies / f"{task}.mp4").exists()
    assert site.here.litter == []
    assert call != "complete" or heard == [CompleteAnswer.ALREADY]


def test_a_failure_is_told_once(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    task = site.enqueue(prompt="[fault bad-input at step 1]")
    heard = _lose(monkeypatch, site, "fail")
    assert site.work("worker") == 0
    assert len(heard) == 1
    view = site.view(task)
    assert (view.status, view.error_class, view.attempts) == (TaskStatus.FAILED, "BAD_INPUT", 1)
    assert site.attempts(task) == [Attempt("worker", "failed")]


def test_a_release_is_told_once(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    task = site.enqueue(prompt="[fault disk-full at step 1]")
    heard = _lose(monkeypatch, site, "release")
    assert site.work("worker") == 1
    assert len(heard) == 1
    view = site.view(task)
    assert (view.status, view.attempts) == (TaskStatus.QUEUED, 0)
    assert site.attempts(task) == [Attempt("worker", "released")]


def test_a_claim_that_was_lost_to_another_worker_is_not_asked_for_ever(
    local_site: LocalSite, monkeypatch: pytest.MonkeyPatch
) -> None:
    task = local_site.enqueue()

    def steal(answer: Any) -> None:
        local_site.let_leases_run_out()
        thief = local_site.queue.claim("thief", "theft", Capability())
        assert thief is not None
        key = f"{thief.output_prefix}/video.mp4"
        assert local_site.queue.complete(thief.task_id, thief.attempt, key, "0" * 64, {}) == "done"
        local_site.enqueue()

    _lose(monkeypatch, local_site, "claim", steal)
    assert local_site.work("worker") == 0
    assert local_site.attempts(task) == [Attempt("worker", "crashed"), Attempt("thief", "completed")]
    assert {view.status for view in local_site.queue.list()} == {TaskStatus.COMPLETE}


def test_a_worker_that_stops_gives_back_what_it_never_heard_of(
    local_site: LocalSite, monkeypatch: pytest.MonkeyPatch
) -> None:
    task = local_site.enqueue()
    flags, environment = local_site.connection()
    settings = worker_settings(
        [*flags, *local_site.here.flags(), "--engine", "fake", "--worker", "w"], environment
    )
    with build_worker(settings) as worker:
        _lose(monkeypatch, local_site, "claim", lambda answer: worker.shutdown.request())
        assert worker.run() == 0
    view = local_site.view(task)
    assert (view.status, view.attempts) == (TaskStatus.QUEUED, 0)
    assert local_site.attempts(task) == [Attempt("w", "released")]
