"""The audit finds what was tampered with. Without this, a soak that finds nothing would say nothing."""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from headless.task import Capability, NewTask
from tests.soak.audit import Verdict, audit
from tests.soak.evidence import gather
from tests.soak.ground import LocalGround
from tests.soak.jobs import Job
from tests.soak.soak import Tally, conclude
from tests.soak.videos import what_is_wrong

ONE, TWO, THREE = (Job(number) for number in (1, 2, 3))
SHOWN = json.dumps({"files": {"video": {"key": "somewhere", "sha256": "00"}}})
UNTOUCHED = Tally(kills=4, stops=3, restarts=2, cuts=1, retries=0, starts=9, seconds=60.0)


class Scene:
    """Three jobs that a worker has done, and what can be done to them afterwards."""

    def __init__(self, folder: Path) -> None:
        self.ground = LocalGround(folder, lease_seconds=60.0)
        self.site = self.ground.site
        self.logs = folder / "logs"
        self.logs.mkdir()
        self.jobs = [ONE, TWO, THREE]
        self.accepted = {job: self.enqueue(job, job.name) for job in self.jobs}

    def enqueue(self, job: Job, key: str | None = None) -> str:
        task = NewTask(params=self.site.job(**job.params), idempotency_key=key)
        return self.site.queue.enqueue(task)

    def work(self) -> None:
        assert self.site.work("calm") == 0

    def sql(self, text: str, *values: object) -> None:
        with self.site.sqlite.file.transaction() as db:
            db.execute(text, values)

    def output(self, job: Job) -> tuple[str, Path]:
        """Key and file of a job's video."""
        (key,) = self.site.outputs(self.accepted[job])
        return key, self.site.local / "files" / key

    def poison(self, job: Job) -> None:
        """Two workers take the job's task and vanish; a third one finds out."""
        for worker in ("one", "two", "three"):
            claim = self.site.queue.claim(worker, f"claim of {worker}", Capability())
            assert worker == "three" or (claim is not None and claim.task_id == self.accepted[job])
            self.site.let_leases_run_out()

    def verdict(self) -> Verdict:
        scratch = self.site.folder / "scratch.mp4"

        def look(job: Job, key: str, sha256: str) -> str | None:
            return what_is_wrong(self.site.storage, job, key, sha256, scratch)

        return audit(self.jobs, self.accepted, gather(self.ground, self.logs), look)


@pytest.fixture
def untouched(tmp_path: Path) -> Iterator[Scene]:
    """Nobody has begun."""
    scene = Scene(tmp_path / "site")
    yield scene
    scene.site.close()


@pytest.fixture(scope="module")
def done(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Queue and storage of a scene where everything is done."""
    scene = Scene(tmp_path_factory.mktemp("done") / "site")
    scene.work()
    scene.site.close()
    return scene.site.local


@pytest.fixture
def scene(tmp_path: Path, done: Path) -> Iterator[Scene]:
    """Everything is done; a copy, to be tampered with."""
    shutil.copytree(done, tmp_path / "site" / "local")
    scene = Scene(tmp_path / "site")
    yield scene
    scene.site.close()


def _status(verdict: Verdict) -> tuple[int, str]:
    said: list[str] = []
    status = conclude(verdict, UNTOUCHED, 3, said.append)
    return status, said[-1]


def test_nothing_is_wrong_where_nothing_was_touched(scene: Scene) -> None:
    verdict = scene.verdict()
    assert list(verdict.lines()) == []
    assert _status(verdict) == (0, "lost 0, published twice 0, kills 4, restarts 2, jobs 3")


def _delete(scene: Scene, task: str) -> None:
    scene.sql("DELETE FROM tasks WHERE id = ?", task)


def _reopen(scene: Scene, task: str) -> None:
    scene.sql("UPDATE tasks SET status = 'Queued', output_location = NULL WHERE id = ?", task)


def _leave_in_progress(scene: Scene, task: str) -> None:
    scene.sql(
        "UPDATE tasks SET status = 'In Progress', output_location = NULL, lease_expires_at = 1 WHERE id = ?",
        task,
    )


def _fail(scene: Scene, task: str) -> None:
    scene.sql("UPDATE tasks SET status = 'Failed', output_location = NULL WHERE id = ?", task)


def _forget(scene: Scene, task: str) -> None:
    scene.accepted.pop(TWO)


@pytest.mark.parametrize("lose", [_delete, _reopen, _leave_in_progress, _fail, _forget])
def test_a_lost_task_is_named(scene: Scene, lose: Callable[[Scene, str], None]) -> None:
    lose(scene, scene.accepted[TWO])
    verdict = scene.verdict()
    assert set(verdict.lost) == {TWO}
    assert verdict.twice == {}
    assert _status(verdict) == (1, "lost 1, published twice 0, kills 4, restarts 2, jobs 3")


def _publish_again(scene: Scene, task: str) -> None:
    _publish_otherwise(scene, task, fence=1)


def _publish_otherwise(scene: Scene, task: str, fence: int = 2) -> None:
    key, _ = scene.output(TWO)
    scene.sql("DELETE FROM task_outputs WHERE task_id = ?", task)
    scene.sql("INSERT INTO task_outputs VALUES (?, ?, ?, '00', 0)", task, fence, key)


def _complete_again(scene: Scene, task: str) -> None:
    scene.sql(
        "INSERT INTO task_attempts"
        " (task_id, fence, claim_id, worker_id, worker_description, started_at, outcome)"
        " VALUES (?, 2, 'again', 'again', '{}', 0, 'completed')",
        task,
    )


def _tell_again(scene: Scene, task: str) -> None:
    line = json.dumps({"event": "task complete", "task": task, "attempt": 2})
    (scene.logs / "liar.1.log").write_text(f'{{"event": "task claimed"}}\n{line}\n{line[:30]}')


def _complete_the_copy_too(scene: Scene, task: str) -> None:
    assert scene.site.queue.retry(task) is not None
    scene.work()


@pytest.mark.parametrize(
    "double",
    [_publish_again, _publish_otherwise, _complete_again, _tell_again, _complete_the_copy_too],
)
def test_a_task_that_was_published_twice_is_named(scene: Scene, double: Callable[[Scene, str], None]) -> None:
    double(scene, scene.accepted[TWO])
    verdict = scene.verdict()
    assert set(verdict.twice) == {TWO}
    assert verdict.lost == {}
    assert _status(verdict) == (1, "lost 0, published twice 1, kills 4, restarts 2, jobs 3")


def _show_another_attempt(scene: Scene, task: str) -> None:
    scene.sql("UPDATE tasks SET output_location = 'outputs/local/x/2/video.mp4' WHERE id = ?", task)


def _move_the_output(scene: Scene, task: str) -> None:
    scene.sql("UPDATE task_outputs SET object_key = 'outputs/local/x/2/video.mp4' WHERE task_id = ?", task)


def _unpublish(scene: Scene, task: str) -> None:
    scene.sql("DELETE FROM task_outputs WHERE task_id = ?", task)


def _leave_an_attempt_running(scene: Scene, task: str) -> None:
    scene.sql(
        "INSERT INTO task_attempts (task_id, fence, claim_id, worker_id, worker_description, started_at)"
        " VALUES (?, 2, 'late', 'late', '{}', 0)",
        task,
    )


def _skip_an_attempt(scene: Scene, task: str) -> None:
    scene.sql("UPDATE tasks SET fence = 3 WHERE id = ?", task)


def _queue_a_stranger(scene: Scene, task: str) -> None:
    scene.enqueue(TWO)


def _change_the_bytes(scene: Scene, task: str) -> None:
    _, video = scene.output(TWO)
    video.chmod(0o600)
    video.write_bytes(b"not a video")


def _lose_the_file(scene: Scene, task: str) -> None:
    scene.output(TWO)[1].unlink()


@pytest.mark.parametrize(
    ("tamper", "found"),
    [
        (_show_another_attempt, "final state left"),
        (_show_another_attempt, "it shows outputs/local/x"),
        (_move_the_output, "its result names"),
        (_move_the_output, "is not one of attempt 1"),
        (_unpublish, "1 completed attempts and 0 outputs"),
        (_leave_an_attempt_running, r"attempts \[2\] are still running"),
        (_skip_an_attempt, "without a gap"),
        (_skip_an_attempt, "attempt 3 came later"),
        (_queue_a_stranger, "belongs to no job"),
        (_change_the_bytes, "its bytes are not|it cannot be read"),
        (_lose_the_file, "it cannot be read"),
    ],
)
def test_what_else_is_wrong_is_named(scene: Scene, tamper: Callable[[Scene, str], None], found: str) -> None:
    tamper(scene, scene.accepted[TWO])
    verdict = scene.verdict()
    assert (verdict.lost, verdict.twice) == ({}, {})
    assert any(re.search(found, line) for line in verdict.wrong), verdict.wrong
    assert _status(verdict)[0] == 1


@pytest.mark.parametrize(("other", "why"), [(TWO, "instead of 0 to 4"), (THREE, "that of another job")])
def test_the_video_of_another_job_is_found_out(scene: Scene, other: Job, why: str) -> None:
    key, video = scene.output(other)
    _, target = scene.output(ONE)
    shutil.copyfile(video, target)
    sha256 = "(SELECT sha256 FROM task_outputs WHERE object_key = ?)"
    scene.sql(f"UPDATE task_outputs SET sha256 = {sha256} WHERE task_id = ?", key, scene.accepted[ONE])
    assert any(why in line for line in scene.verdict().wrong)


def test_a_task_in_quarantine_is_lost_until_it_is_queued_again(untouched: Scene) -> None:
    scene = untouched
    scene.poison(ONE)
    scene.work()
    verdict = scene.verdict()
    assert set(verdict.lost) == {ONE}
    assert "QUARANTINED" in verdict.lost[ONE]
    assert scene.site.queue.retry(scene.accepted[ONE]) is not None
    assert set(scene.verdict().lost) == {ONE}
    scene.work()
    assert list(scene.verdict().lines()) == []


@pytest.mark.parametrize(
    ("change", "found"),
    [
        (
            "UPDATE tasks SET error_class = 'INTERNAL' WHERE id = ?",
            r"retried although it is Failed \(INTERNAL",
        ),
        ("UPDATE task_attempts SET outcome = 'failed' WHERE task_id = ?", "in quarantine after 0 crashes"),
        (f"UPDATE tasks SET result = '{SHOWN}' WHERE id = ?", "it failed, and shows"),
    ],
)
def test_only_crashes_excuse_a_copy(untouched: Scene, change: str, found: str) -> None:
    scene = untouched
    scene.poison(ONE)
    assert scene.site.queue.retry(scene.accepted[ONE]) is not None
    scene.work()
    scene.sql(change, scene.accepted[ONE])
    assert any(re.search(found, line) for line in scene.verdict().wrong)


def test_what_workers_say_is_read_from_their_logs(untouched: Scene) -> None:
    with untouched.site.start("process", "--until-idle") as worker:
        assert worker.wait() == 0, worker.log
    shutil.copyfile(untouched.site.folder / "process.log", untouched.logs / "process.1.log")
    told = gather(untouched.ground, untouched.logs).told
    assert told == {(task, 1) for task in untouched.accepted.values()}
    assert list(untouched.verdict().lines()) == []
