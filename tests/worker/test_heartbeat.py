"""The file that is touched while a worker is alive."""

from __future__ import annotations

from pathlib import Path

from structlog.testing import capture_logs

from headless.heartbeat import Heartbeat


def test_a_beat_touches_the_file(tmp_path: Path) -> None:
    Heartbeat(tmp_path / "health").beat()
    assert (tmp_path / "health").exists()


def test_a_file_that_cannot_be_touched_is_told_once_until_it_can(tmp_path: Path) -> None:
    folder = tmp_path / "gone"
    heart = Heartbeat(folder / "health")
    with capture_logs() as lines:
        heart.beat()
        heart.beat()
        assert [line["event"] for line in lines] == ["the health file cannot be touched"]
        folder.mkdir()
        heart.beat()
        (folder / "health").unlink()
        folder.rmdir()
        heart.beat()
    assert len(lines) == 2
