"""`submit --wait`: what is shown while a task runs, and how the watching ends."""

from __future__ import annotations

import io
from collections.abc import Callable

import pytest

from headless.cli.watch import watch
from headless.errors import QueueUnavailable
from headless.task import Capability, NewTask, Phase, Progress, TaskView
from tests.cli.terminal import Terminal
from tests.e2e.children import Child
from tests.worker.fake_clock import FakeClock
from tests.worker.signalling_queue import SignallingQueue

BASE = ("--model", "wan_tiny_i2v", "--prompt", "a cat", "--num-frames", "5", "--steps", "3")


def _worker(terminal: Terminal) -> Child:
    return Child(*terminal.place.flags("--engine", "fake", "--once"))


def test_progress_is_shown_and_the_path_comes_last(terminal: Terminal) -> None:
    with _worker(terminal):
        said = terminal.run("submit", *BASE, "--wait")
    assert said.status == 0
    path = terminal.place.local / "files" / "outputs"
    assert said.out.startswith(str(path))
    assert said.out.endswith("/1/video.mp4\n")
    first, *lines = said.err.splitlines()
    assert first.startswith("task ")
    assert lines[0].startswith("queued")
    assert lines[-1] == "complete"


def test_a_failure_is_told_on_stderr_and_in_the_status(terminal: Terminal) -> None:
    with _worker(terminal):
        said = terminal.run("submit", *BASE, "--model", "no_such_model", "--wait")
    assert (said.status, said.out) == (1, "")
    assert "no_such_model" in said.err


class Script:
    """A clock whose sleeps let the next thing happen to the task."""

    def __init__(self, *events: Callable[[], object]) -> None:
        self._events = iter(events)

    def monotonic(self) -> float:
        return 0.0

    def sleep(self, seconds: float) -> None:
        assert seconds <= 1
        next(self._events)()


class Terminals(io.StringIO):
    """Text that says it is a terminal."""

    def isatty(self) -> bool:
        return True


@pytest.fixture
def queue() -> SignallingQueue:
    return SignallingQueue(FakeClock())


class Storage:
    """Only tells where things are."""

    def locate(self, key: str) -> str:
        return f"/there/{key}"


def _watch(queue: SignallingQueue, task: str, out: io.StringIO, *events: Callable[[], object]) -> int:
    return watch(task, queue, Storage(), Script(*events), out)  # type: ignore[arg-type]  # locate is all it needs


def _progress(queue: SignallingQueue, task: str, progress: Progress) -> Callable[[], object]:
    return lambda: queue.renew(task, 1, progress)


def test_every_change_is_a_line_elsewhere_than_on_a_terminal(
    queue: SignallingQueue, capsys: pytest.CaptureFixture[str]
) -> None:
    task, out = queue.enqueue(NewTask(params={"prompt": "a"})), io.StringIO()
    status = _watch(
        queue,
        task,
        out,
        lambda: queue.claim("w", "c", Capability()),
        _progress(queue, task, Progress(Phase.LOADING, percent=2)),
        _progress(queue, task, Progress(Phase.DENOISING, step=3, steps=4, percent=62.4)),
        lambda: None,
        _progress(queue, task, Progress(Phase.DECODING, segment=1, segments=3, percent=90)),
        lambda: queue.complete(task, 1, f"outputs/local/{task}/1/video.mp4", "0" * 64, {}),
    )
    assert status == 0
    assert out.getvalue().splitlines() == [
        "queued, place 1",
        "claimed",
        "loading, 2 %",
        "denoising, step 3 of 4, 62 %",
        "decoding, segment 2 of 3, 90 %",
        "complete",
    ]
    assert capsys.readouterr().out == f"/there/outputs/local/{task}/1/video.mp4\n"


def test_a_terminal_shows_one_line_that_changes(queue: SignallingQueue) -> None:
    task, out = queue.enqueue(NewTask(params={"prompt": "a"})), Terminals()
    _watch(
        queue,
        task,
        out,
        lambda: queue.claim("w", "c", Capability()),
        lambda: queue.complete(task, 1, f"outputs/local/{task}/1/video.mp4", "0" * 64, {}),
    )
    assert out.getvalue() == "\rqueued, place 1\rclaimed        \rcomplete\n"


def test_why_a_task_waits_again_is_shown(queue: SignallingQueue) -> None:
    task, out = queue.enqueue(NewTask(params={"prompt": "a"})), io.StringIO()
    status = _watch(
        queue,
        task,
        out,
        lambda: queue.claim("w", "c", Capability()),
        lambda: queue.release(task, 1, "No room is left."),
        lambda: queue.cancel(task),
    )
    assert status == 130
    assert "queued, place 1 (No room is left.)" in out.getvalue()
    assert "cancelled" in out.getvalue()


def test_a_queue_that_does_not_answer_is_asked_again(queue: SignallingQueue) -> None:
    task, out = queue.enqueue(NewTask(params={"prompt": "a"})), io.StringIO()

    class Unreachable(SignallingQueue):
        """The same queue, behind a broken line."""

        def get(self, task_id: str) -> TaskView | None:
            raise QueueUnavailable("the queue does not answer")

    queue.__class__ = Unreachable

    def mend() -> None:
        queue.__class__ = SignallingQueue
        queue.cancel(task)

    assert _watch(queue, task, out, lambda: None, mend) == 130
    assert out.getvalue().splitlines()[0] == "the queue does not answer; still trying"


def test_ctrl_c_leaves_the_task_alone(queue: SignallingQueue) -> None:
    task, out = queue.enqueue(NewTask(params={"prompt": "a"})), io.StringIO()

    def interrupt() -> None:
        raise KeyboardInterrupt

    assert _watch(queue, task, out, interrupt) == 130
    assert f"cancel {task}" in out.getvalue()
    view = queue.get(task)
    assert view is not None
    assert view.status.value == "Queued"
