"""How a worker stops: SIGTERM, Ctrl-C, Ctrl-C twice, kill -9, and who goes on with the task."""

from __future__ import annotations

import signal
from collections.abc import Mapping

import pytest

from headless.task import TaskStatus
from tests.e2e.children import Child, run_worker
from tests.worker.place import Place

DENOISING = '"event": "denoising"'


def _long(place: Place, steps: int) -> str:
    """A task that takes the fake engine `steps` tenths of a second."""
    return place.enqueue(place.job(steps=steps))


def _worker(place: Place, *flags: str, env: Mapping[str, str] | None = None) -> Child:
    return Child(*place.flags("--engine", "fake", *flags), env=env)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_task_that_takes_too_long_is_given_back(place: Place, number: signal.Signals) -> None:
    task = _long(place, 100)
    with _worker(place, "--grace", "1") as worker:
        worker.wait_for(DENOISING)
        worker.send(number)
        assert worker.wait() == 0
        assert "stopping" in worker.log
    view = place.view(task)
    assert (view.status, view.attempts) == (TaskStatus.QUEUED, 0)
    assert "asked to stop" in (view.error_message or "")
    assert place.outcome(task) == "released"
    assert not (place.local / "files" / "outputs" / "local" / task / "1" / "video.mp4").exists()


def test_a_task_that_fits_the_grace_time_is_finished_and_no_other_begun(place: Place) -> None:
    task, next_task = _long(place, 12), _long(place, 1)
    with _worker(place, "--grace", "60") as worker:
        worker.wait_for(DENOISING)
        worker.send(signal.SIGTERM)
        assert worker.wait() == 0
    assert place.result(task)["frames"] == 5
    waiting = place.view(next_task)
    assert (waiting.status, waiting.attempts) == (TaskStatus.QUEUED, 0)


def test_an_idle_worker_stops_at_once(place: Place) -> None:
    with _worker(place, "--poll-interval", "3000", "--idle-poll-interval", "3000") as worker:
        worker.wait_for("worker started")
        worker.send(signal.SIGTERM)
        assert worker.wait() == 0


@pytest.mark.parametrize(("number", "status"), [(signal.SIGTERM, 0), (signal.SIGINT, 130)])
def test_a_worker_that_is_still_being_imported_leaves(
    place: Place, number: signal.Signals, status: int
) -> None:
    """As process 1 of a container it would not hear the signal at all without a handler of its own."""
    sent = f"import os\nos.kill(os.getpid(), {int(number)})\n"
    (place.folder / "structlog.py").write_text(sent, encoding="utf-8")
    with _worker(place, env={"PYTHONPATH": str(place.folder)}) as worker:
        assert worker.wait() == status
        assert worker.log == ""


def test_a_second_ctrl_c_leaves_at_once(place: Place) -> None:
    task = _long(place, 100)
    with _worker(place, "--grace", "600") as worker:
        worker.wait_for(DENOISING)
        worker.send(signal.SIGINT)
        worker.wait_for("again to leave at once")
        worker.send(signal.SIGINT)
        assert worker.wait() == 130
        assert "taken over when its lease ends" in worker.log
    assert place.view(task).status is TaskStatus.IN_PROGRESS


def test_a_killed_workers_task_is_taken_over(place: Place) -> None:
    task = _long(place, 100)
    with _worker(place, "--worker", "first") as worker:
        worker.wait_for(DENOISING)
        worker.send(signal.SIGKILL)
        assert worker.wait() == -signal.SIGKILL
    with place.queue() as queue, queue.file.transaction() as db:
        params = '{"model": "wan_tiny_i2v", "prompt": "a", "num_frames": 5, "steps": 1}'
        db.execute("UPDATE tasks SET params = ?, lease_expires_at = 0 WHERE id = ?", (params, task))
    ended = run_worker(*place.flags("--engine", "fake", "--until-idle", "--worker", "second"))
    assert ended.returncode == 0, ended.stderr
    assert "removing what a killed worker left" in ended.stderr
    view = place.view(task)
    assert (view.status, view.worker_id) == (TaskStatus.COMPLETE, "second")
    with place.queue() as queue:
        outcomes = [(row.outcome, row.worker_id) for row in queue.attempts(task)]
    assert outcomes == [("crashed", "first"), ("completed", "second")]
    assert f"/{task}/2/" in (view.output_location or "")
    assert not place.stored(task, "video.mp4", attempt=1).exists()


def test_a_worker_that_dies_of_its_task_leaves_it_to_another(place: Place) -> None:
    task = place.enqueue(place.job(prompt="a cat [fault kill at decoding]"))
    fine = place.enqueue(place.job())
    with _worker(place, "--until-idle", "--lease-seconds", "0.3", "--worker", "one") as worker:
        assert worker.wait() == -signal.SIGKILL
    with _worker(place, "--until-idle", "--lease-seconds", "0.3", "--worker", "two") as worker:
        assert worker.wait() in (0, -signal.SIGKILL)
    with _worker(place, "--until-idle", "--lease-seconds", "0.3", "--worker", "three") as worker:
        assert worker.wait() == 0
    view = place.view(task)
    assert (view.status, view.error_class) == (TaskStatus.FAILED, "QUARANTINED")
    assert place.view(fine).status is TaskStatus.COMPLETE
