"""Cancelled at every step of a task: nothing of it is ever seen, or it was complete before."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

import pytest

from headless.inputs import InputFetcher
from headless.job_listener import JobListener
from headless.outbox import Outbox
from headless.runner import TaskRunner
from headless.task import CancelAnswer, Phase, TaskStatus
from tests.crash.sites import Attempt, LocalSite, Site, SupabaseSite

Passes = Callable[..., bool]

PRODUCT: dict[str, tuple[type, str, Passes]] = {
    "claimed": (TaskRunner, "prepare", lambda *_: True),
    "fetching": (InputFetcher, "file", lambda *_: True),
    "loading": (JobListener, "on_phase", lambda _, phase: phase is Phase.LOADING),
    "encoding": (JobListener, "on_phase", lambda _, phase: phase is Phase.ENCODING),
    "step 2": (JobListener, "on_step", lambda _, step, *__: step == 2),
    "frame 3": (JobListener, "on_share", lambda _, done, __: done == 3),
    "checking": (JobListener, "on_phase", lambda _, phase: phase is Phase.CHECKING),
    "posting": (Outbox, "post", lambda *_: True),
    "uploading": (JobListener, "on_phase", lambda _, phase: phase is Phase.UPLOADING),
}


def _strike_before(patch: pytest.MonkeyPatch, owner: type, name: str, passes: Passes, strike: Any) -> None:
    """Call `strike()` before the first call of a function whose arguments pass."""
    inner, struck = getattr(owner, name), list[None]()

    @functools.wraps(inner)
    def call(*arguments: Any, **named: Any) -> Any:
        if not struck and passes(*arguments):
            struck.append(None)
            strike()
        return inner(*arguments, **named)

    patch.setattr(owner, name, call)


def _cancel_before(patch: pytest.MonkeyPatch, site: Site, owner: type, name: str, passes: Passes) -> None:
    task, answers = site.enqueue(), list[CancelAnswer]()
    next_task = site.enqueue()
    _strike_before(patch, owner, name, passes, lambda: answers.append(site.queue.cancel(task)))
    assert site.work("worker") == 0
    assert answers == [CancelAnswer.REQUESTED]
    view = site.view(task)
    assert (view.status, view.error_class, view.output_location) == (TaskStatus.CANCELLED, "CANCELLED", None)
    assert site.attempts(task) == [Attempt("worker", "cancelled")]
    assert site.outputs(task) == []
    assert site.view(next_task).status is TaskStatus.COMPLETE
    assert site.here.litter == []
    assert {path.name.split(".")[0] for path in site.here.copies.iterdir()} == {next_task}


@pytest.mark.parametrize("point", PRODUCT)
def test_nothing_is_published_after_a_cancellation(
    local_site: LocalSite, monkeypatch: pytest.MonkeyPatch, point: str
) -> None:
    _cancel_before(monkeypatch, local_site, *PRODUCT[point])


@pytest.mark.parametrize("name", ["video.mp4", "poster.webp", "result.json"])
def test_nor_while_its_files_are_stored(
    local_site: LocalSite, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    storage = type(local_site.storage)
    _cancel_before(monkeypatch, local_site, storage, "put", lambda _, key, *__: key.endswith(name))


def test_nor_just_before_the_completion(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    _cancel_before(monkeypatch, site, type(site.queue), "complete", lambda *_: True)


def test_on_supabase(supabase_site: SupabaseSite, monkeypatch: pytest.MonkeyPatch) -> None:
    _cancel_before(monkeypatch, supabase_site, *PRODUCT["step 2"])


def test_what_is_complete_stays_complete(local_site: LocalSite, monkeypatch: pytest.MonkeyPatch) -> None:
    task, answers = local_site.enqueue(), list[CancelAnswer]()
    complete = type(local_site.queue).complete

    def complete_then_cancel(*arguments: Any, **named: Any) -> Any:
        answer = complete(*arguments, **named)
        answers.append(local_site.queue.cancel(task))
        return answer

    monkeypatch.setattr(type(local_site.queue), "complete", complete_then_cancel)
    assert local_site.work("worker") == 0
    assert answers == [CancelAnswer.FINAL]
    assert local_site.view(task).status is TaskStatus.COMPLETE
    assert len(local_site.outputs(task)) == 1
