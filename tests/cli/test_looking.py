"""`status`, `list`, `cancel`, `retry` and `health`."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from headless.task import Capability, Phase, Progress
from tests.cli.terminal import Terminal, run

NOBODY = "00000000-0000-4000-8000-00000000dead"


def _claimed(terminal: Terminal, progress: Progress | None = None) -> str:
    task = terminal.place.enqueue(terminal.place.job())
    with terminal.place.queue() as queue:
        claim = queue.claim("gpu-7", f"claim-{task}", Capability())
        assert claim is not None
        if progress is not None:
            queue.renew(claim.task_id, claim.attempt, progress)
        return claim.task_id


def test_a_waiting_task(terminal: Terminal) -> None:
    task = terminal.place.enqueue(terminal.place.job())
    told = terminal.good("status", task)
    assert f"task      {task}" in told
    assert "status    Queued" in told
    assert "position  1 in the queue" in told
    assert "attempts  0" in told


def test_a_running_task(terminal: Terminal) -> None:
    task = _claimed(terminal, Progress(Phase.DENOISING, step=2, steps=8, percent=28.75))
    told = terminal.good("status", task)
    assert "progress  denoising, step 2 of 8, 29 % (worker gpu-7)" in told
    assert "denoising, step 2 of 8, 29 %" in terminal.good("list")


def test_a_finished_and_a_failed_task(terminal: Terminal) -> None:
    fine = terminal.place.enqueue(terminal.place.job())
    bad = terminal.place.enqueue(terminal.place.job(steps=0))
    assert terminal.place.work() == 0
    assert f"output    {terminal.place.stored(fine, 'video.mp4')}" in terminal.good("status", fine)
    told = terminal.good("status", bad)
    assert "status    Failed" in told
    assert "message   steps is 0: give a whole number from 1 to 100." in told


def test_the_whole_row_as_json(terminal: Terminal) -> None:
    task = terminal.place.enqueue(terminal.place.job())
    assert terminal.place.work() == 0
    row = json.loads(terminal.good("status", task, "--json"))
    assert (row["id"], row["status"], row["task_type"], row["attempts"]) == (task, "Complete", "generate", 1)
    assert row["output"] == str(terminal.place.stored(task, "video.mp4"))
    assert row["output_location"] == f"outputs/local/{task}/1/video.mp4"
    assert row["params"]["prompt"] == "a cat yawns"
    assert row["result"]["frames"] == 5
    assert row["preview_location"].endswith(".webp")


@pytest.mark.parametrize("command", ["status", "cancel", "retry"])
def test_an_unknown_task_is_bad_use(terminal: Terminal, command: str) -> None:
    assert f"There is no task '{NOBODY}'" in terminal.bad(command, NOBODY)
    assert "required: TASK" in terminal.bad(command)


def test_the_list_is_newest_first_and_can_be_narrowed(terminal: Terminal) -> None:
    running = _claimed(terminal)
    waiting = terminal.place.enqueue(terminal.place.job())
    lines = terminal.good("list").splitlines()
    assert [line.split()[0] for line in lines] == [waiting, running]
    assert [line.split()[0] for line in terminal.good("list", "--limit", "1").splitlines()] == [waiting]
    for name in ("In Progress", "in progress", "in-progress"):
        assert terminal.good("list", "--status", name).split()[0] == running
    assert terminal.good("list", "--status", "failed") == "no tasks"
    rows = json.loads(terminal.good("list", "--json"))
    assert [row["id"] for row in rows] == [waiting, running]
    assert json.loads(terminal.good("list", "--json", "--status", "Failed")) == []


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (("--status", "Done"), "--status 'Done' is not known. Use one of: Queued, In Progress, Complete"),
        (("--limit", "0"), "--limit 0 is not from 1 to"),
        (("--limit", "9" * 20), "is not from 1 to"),
        (("--limit", "many"), "--limit"),
    ],
)
def test_a_wrong_filter_is_bad_use(terminal: Terminal, arguments: tuple[str, ...], says: str) -> None:
    assert says in terminal.bad("list", *arguments)


def test_cancelling(terminal: Terminal) -> None:
    running, waiting = _claimed(terminal), terminal.place.enqueue(terminal.place.job())
    assert terminal.good("cancel", waiting) == "cancelled"
    assert terminal.place.view(waiting).status.value == "Cancelled"
    assert "asked to stop" in terminal.good("cancel", running)
    assert terminal.good("cancel", waiting) == "cancelled"
    finished = terminal.place.enqueue(terminal.place.job(steps=0))
    assert terminal.place.work() == 0
    again = terminal.run("cancel", finished)
    assert again.status == 1
    assert "had ended before" in again.out


def test_retrying(terminal: Terminal) -> None:
    bad, waiting = (terminal.place.enqueue(terminal.place.job(steps=n)) for n in (0, 1))
    assert terminal.place.work() == 0
    copy = terminal.good("retry", bad)
    assert terminal.place.view(copy).origin == bad
    assert terminal.place.view(waiting).status.value == "Complete"
    running = terminal.run("retry", _claimed(terminal))
    assert running.status == 1
    assert "In Progress" in running.out


def test_health(tmp_path: Path) -> None:
    path = tmp_path / "health"
    assert "--health-file" in run("health").err
    missing = run("health", "--health-file", str(path))
    assert missing.status == 1
    assert "No such file" in missing.out
    path.touch()
    alive = run("health", environ={"HEADLESS_HEALTH_FILE": str(path)})
    assert alive.status == 0
    assert alive.out.startswith("alive")
    os.utime(path, (1, 1))
    old = run("health", "--health-file", str(path), "--max-age", "100")
    assert old.status == 1
    assert "last sign" in old.out
    assert run("health", "--health-file", str(path), "--max-age", "soon").status == 2


def test_a_queue_that_does_not_answer_is_a_failure_and_no_traceback(
    terminal: Terminal, tmp_path: Path
) -> None:
    said = run(
        "list", "--supabase-url", "http://127.0.0.1:9", "--supabase-secret-key", "sb_secret_" + "0" * 32
    )
    assert said.status == 1
    assert said.err.startswith("headless: ") or "\nheadless: " in said.err
    assert "Traceback" not in said.err
    assert "0" * 32 not in said.err
