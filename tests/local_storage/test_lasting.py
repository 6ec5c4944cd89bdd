"""What makes a new object outlive a power cut: its folder is synced, and every folder whose name is new."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest

from headless.adapters.local_storage import LocalStorage


@pytest.fixture
def synced(monkeypatch: pytest.MonkeyPatch) -> list[Path]:
    """Every folder that was synced."""
    found: list[Path] = []
    sync = os.fsync

    def record(descriptor: int) -> None:
        path = Path(f"/proc/self/fd/{descriptor}").readlink()
        if path.is_dir():
            found.append(path)
        sync(descriptor)

    monkeypatch.setattr(os, "fsync", record)
    return found


@pytest.fixture
def source(tmp_path: Path) -> Path:
    """Something to store."""
    path = tmp_path / "source"
    path.write_bytes(b"movie")
    return path


def test_the_first_object_syncs_every_folder_up_to_the_root(
    tmp_path: Path, source: Path, synced: list[Path]
) -> None:
    storage = LocalStorage(tmp_path / "files")
    storage.put("outputs/local/a/video.mp4", source, "video/mp4")
    outputs = tmp_path / "files" / "outputs"
    assert synced == [outputs / "local" / "a", outputs / "local", outputs, tmp_path / "files"]


def test_the_next_object_syncs_only_what_is_new(tmp_path: Path, source: Path, synced: list[Path]) -> None:
    storage = LocalStorage(tmp_path / "files")
    storage.put("outputs/local/a/video.mp4", source, "video/mp4")
    local = tmp_path / "files" / "outputs" / "local"
    synced.clear()
    storage.put("outputs/local/a/poster.webp", source, "image/webp")
    assert synced == [local / "a"]
    synced.clear()
    storage.put("outputs/local/b/video.mp4", source, "video/mp4")
    assert synced == [local / "b", local]


def test_folders_that_were_made_anew_are_synced_anew(
    tmp_path: Path, source: Path, synced: list[Path]
) -> None:
    storage = LocalStorage(tmp_path / "files")
    storage.put("outputs/local/video.mp4", source, "video/mp4")
    outputs = tmp_path / "files" / "outputs"
    outputs.rename(tmp_path / "elsewhere")  # Kept, so that its inode is not given out again.
    synced.clear()
    storage.put("outputs/local/video.mp4", source, "video/mp4")
    assert synced == [outputs / "local", outputs, tmp_path / "files"]
    shutil.rmtree(tmp_path / "elsewhere")


def test_an_object_in_the_root_syncs_the_root(tmp_path: Path, source: Path, synced: list[Path]) -> None:
    LocalStorage(tmp_path / "files").put("video.mp4", source, "video/mp4")
    assert synced == [tmp_path / "files"]
