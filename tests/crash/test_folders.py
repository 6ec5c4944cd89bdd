"""Folders that several workers share, in the moments in which one of them is elsewhere."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from headless.outbox import RECORD, Outbox
from headless.task import CancelAnswer, TaskStatus
from headless.workspace import FolderLock, Workspace
from tests.crash.sites import LocalSite


def test_a_sweep_between_making_and_locking_takes_no_folder_away(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ours, theirs = Workspace(tmp_path), Workspace(tmp_path)
    make, sweeps = Path.mkdir, list[Path]()

    def make_and_sweep(path: Path, *arguments: Any, **named: Any) -> None:
        make(path, *arguments, **named)
        if not sweeps:
            sweeps.append(path)
            theirs.sweep()

    monkeypatch.setattr(Path, "mkdir", make_and_sweep)
    with ours.job_folder("task") as folder:
        assert not sweeps[0].exists()
        theirs.sweep()
        assert folder.is_dir()
        (folder / "file").touch()
    assert list((tmp_path / "jobs").iterdir()) == []


def test_folders_that_cannot_be_locked_are_an_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(FolderLock, "take", lambda lock: False)
    with pytest.raises(OSError, match="choose another --work-dir"), Workspace(tmp_path).job_folder("task"):
        raise AssertionError


def test_a_lock_on_a_folder_that_is_gone_is_no_lock(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "folder").mkdir()
    held, late = FolderLock(tmp_path / "folder"), FolderLock(tmp_path / "folder")
    assert held.take()
    assert not late.take()
    opened = Path.open

    def open_then_lose(path: Path, *arguments: Any, **named: Any) -> Any:
        file = opened(path, *arguments, **named)
        path.unlink()
        held.drop()
        return file

    monkeypatch.setattr(Path, "open", open_then_lose)
    assert not late.take()
    monkeypatch.undo()
    assert late.take()
    late.drop()
    assert not FolderLock(tmp_path / "nowhere").take()


def test_a_parcel_is_delivered_by_one_worker_only(local_site: LocalSite) -> None:
    local_site.enqueue()
    local_site.kill_at("posted")
    folder, name = local_site.here.work / "outbox", str(local_site.local.resolve())
    first = list(Outbox(folder, name).waiting())
    assert len(first) == 1
    assert list(Outbox(folder, name).waiting()) == []
    first[0].leave()
    again = list(Outbox(folder, name).waiting())
    assert len(again) == 1
    again[0].leave()


def test_parcels_of_other_queues_and_broken_ones_stay(local_site: LocalSite) -> None:
    task = local_site.enqueue()
    local_site.kill_at("posted")
    (folder,) = (local_site.here.work / "outbox").iterdir()
    assert list(Outbox(folder.parent, "another queue").waiting()) == []
    record = (folder / RECORD).read_bytes()
    (folder / RECORD).write_bytes(b"{")
    local_site.let_leases_run_out()
    assert local_site.work("rescuer") == 0
    assert local_site.view(task).status is TaskStatus.COMPLETE
    assert folder.exists()
    (folder / RECORD).write_bytes(record)
    assert local_site.work("rescuer") == 0
    assert local_site.here.litter == []


def test_the_parcel_of_a_cancelled_task_is_dropped(local_site: LocalSite) -> None:
    task = local_site.enqueue()
    local_site.kill_at("posted")
    assert local_site.queue.cancel(task) is CancelAnswer.REQUESTED
    assert local_site.work("rescuer") == 0
    assert local_site.view(task).status is TaskStatus.CANCELLED
    assert local_site.outputs(task) == []
    assert local_site.here.litter == []


def test_a_folder_of_another_user_is_left_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    workspace = Workspace(tmp_path)
    theirs = tmp_path / "jobs" / "theirs"
    theirs.mkdir()
    (theirs / ".lock").touch()
    opened = Path.open

    def refuse(path: Path, *arguments: Any, **named: Any) -> Any:
        if path.parent == theirs:
            raise PermissionError(13, "Permission denied", str(path))
        return opened(path, *arguments, **named)

    monkeypatch.setattr(Path, "open", refuse)
    workspace.sweep()
    assert list(Outbox(tmp_path / "jobs", "any").waiting()) == []
    assert theirs.is_dir()
