"""A full disk gives the task back, uncharged, with the reason; a worker that was to empty the queue says 1.

A file system of a few pages is mounted for the worker alone; where this user may not mount, the operating
system limits the size of every file that the worker writes, which fails in the same place.
"""

from __future__ import annotations

import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image

from headless.task import Json, TaskStatus
from tests.e2e.children import PATIENCE, ROOT, environment
from tests.worker.place import Place

LIMIT = 2_000_000
"""Bytes of the largest file where only that can be limited; the queue's own files stay below."""
_MOUNT = 'mount -t tmpfs -o size="$1" none "$2" && shift 2 && exec "$@"'
_LIMIT = (
    "import os, resource, sys; "
    "resource.setrlimit(resource.RLIMIT_FSIZE, (int(sys.argv[1]),) * 2); "
    "os.execv(sys.argv[2], sys.argv[2:])"
)


@dataclass(frozen=True)
class Ended:
    """What a worker that met a full disk was given to do, and how it ended."""

    task: str
    status: int
    log: str


def _in_a_full_place(place: Place, folder: Path, room: int, **changes: Json) -> Ended:
    """A worker with `folder` on a file system of `room` bytes; or, if that is not allowed, one whose files
    may not be as large as the input of its task."""
    folder.mkdir(parents=True, exist_ok=True)
    mounted = ["unshare", "--map-root-user", "--mount", "sh", "-c", _MOUNT, "sh", str(room), str(folder)]
    if shutil.which("unshare") is None or _run("", [*mounted, "true"]).status != 0:
        return _limited(place)
    return _run(place.enqueue(place.job(**changes)), [*mounted, *_worker(place)])


def _limited(place: Place) -> Ended:
    task = place.enqueue(place.job(start_image=_large_picture(place)))
    return _run(task, [sys.executable, "-c", _LIMIT, str(LIMIT), *_worker(place)])


def _large_picture(place: Place) -> str:
    """A picture of more bytes than the limit."""
    noise = np.random.default_rng(1).integers(0, 256, (900, 900, 3), dtype=np.uint8)
    path = place.scratch / "noise.png"
    Image.fromarray(noise).save(path)
    assert path.stat().st_size > LIMIT
    return place.store(path.read_bytes())


def _run(task: str, command: list[str]) -> Ended:
    done = subprocess.run(
        command, cwd=ROOT, env=environment(), capture_output=True, text=True, timeout=PATIENCE, check=False
    )
    return Ended(task, done.returncode, done.stderr)


def _worker(place: Place) -> list[str]:
    return [sys.executable, "worker.py", *place.flags("--engine", "fake", "--until-idle")]


def _assert_given_back(place: Place, ended: Ended) -> None:
    assert ended.status == 1, ended.log
    view = place.view(ended.task)
    assert (view.status, view.attempts) == (TaskStatus.QUEUED, 0), ended.log
    assert "room" in (view.error_message or "")
    assert place.outcome(ended.task) == "released"
    assert "DISK_FULL" in ended.log
    assert "this machine cannot run" in ended.log


def test_a_work_folder_that_the_video_does_not_fit_into(place: Place) -> None:
    work = place.folder / "work"
    _assert_given_back(place, _in_a_full_place(place, work, 32768, num_frames=41, width=320, height=320))


def test_a_work_folder_that_an_input_does_not_fit_into(place: Place) -> None:
    large = _large_picture(place)
    _assert_given_back(place, _in_a_full_place(place, place.folder / "work", 262_144, start_image=large))


def test_a_full_storage(place: Place) -> None:
    files = place.local / "files"
    ended = _in_a_full_place(place, files, 16384, start_image=None, num_frames=41, width=320, height=320)
    _assert_given_back(place, ended)


def test_a_limit_on_the_size_of_files_counts_as_a_full_disk(place: Place) -> None:
    _assert_given_back(place, _limited(place))


def test_a_task_that_was_given_back_is_done_where_there_is_room(place: Place) -> None:
    ended = _limited(place)
    with place.queue() as queue, queue.file.transaction() as db:
        db.execute("UPDATE tasks SET run_after = 0")
    assert place.work() == 0
    assert place.result(ended.task)["frames"] == 5
    assert place.view(ended.task).attempts == 1


def test_copies_that_cannot_be_kept_cost_a_line_in_the_log(place: Place) -> None:
    task = place.enqueue(place.job())
    (place.outputs / f"{task}.mp4").mkdir(parents=True)
    assert place.work() == 0
    assert place.view(task).status is TaskStatus.COMPLETE
    assert place.stored(task, "video.mp4").is_file()
