"""The movie grows while a chain is made: what a frontend sees of it, and in what order."""

from __future__ import annotations

import threading
from pathlib import Path

import numpy as np
import pytest
from structlog.testing import capture_logs

from headless.adapters.local_storage import LocalStorage
from headless.adapters.numbered_frames import draw_number, read_number
from headless.errors import DiskFull, StorageUnavailable
from headless.growing_movie import MovieLine, ShownMovie
from headless.job_listener import JobListener
from headless.lease import Lease
from headless.media.movie import Movie
from headless.media.video import VideoWriter, read_clip
from headless.ports import StoredObject
from headless.task import Json, Progress
from tests.worker.place import Place

PATIENCE = 30.0


def _clip(path: Path, first: int) -> Path:
    with VideoWriter(path, width=64, height=64, fps=16) as video:
        for number in range(first, first + 3):
            video.write(draw_number(number, 64, 64))
    return path


class Slow(LocalStorage):
    """Storage in which an upload lasts as long as somebody wants."""

    def __init__(self, root: Path) -> None:
        super().__init__(root)
        self.begun, self.go_on = threading.Event(), threading.Event()

    def put(self, key: str, source: Path, content_type: str) -> StoredObject:
        self.begun.set()
        assert self.go_on.wait(PATIENCE)
        return super().put(key, source, content_type)


def test_the_newest_movie_wins_and_a_slow_upload_delays_nothing(tmp_path: Path) -> None:
    movie, storage, seen = Movie(tmp_path / "movie.mp4"), Slow(tmp_path / "files"), list[str]()
    shown = ShownMovie(movie, storage, tmp_path, "outputs/local/t/1", seen.append)
    movie.append(_clip(tmp_path / "a.mp4", 0))
    shown.offer(1)
    assert storage.begun.wait(PATIENCE)
    for count in (2, 3, 4):
        movie.append(_clip(tmp_path / "a.mp4", 3 * count - 3))
        shown.offer(count)
    assert seen == []
    storage.go_on.set()
    shown._pool.shutdown(wait=True)
    assert seen == ["outputs/local/t/1/movie-0001.mp4", "outputs/local/t/1/movie-0004.mp4"]
    numbers = [[read_number(frame) for frame in read_clip(tmp_path / "files" / key)] for key in seen]
    assert numbers == [[0, 1, 2], list(range(12))]
    assert sorted(path.name for path in tmp_path.glob("movie-*")) == []


@pytest.mark.parametrize(
    "error", [StorageUnavailable("down"), OSError("no such device"), RuntimeError("bug")]
)
def test_a_movie_that_cannot_be_shown_costs_a_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, error: Exception
) -> None:
    def put(*_: object) -> StoredObject:
        raise error

    monkeypatch.setattr(LocalStorage, "put", put)
    movie, seen = Movie(tmp_path / "movie.mp4"), list[str]()
    movie.append(_clip(tmp_path / "a.mp4", 0))
    shown = ShownMovie(movie, LocalStorage(tmp_path / "files"), tmp_path, "outputs/a", seen.append)
    with capture_logs() as lines:
        shown.offer(1)
        shown._pool.shutdown(wait=True)
    assert [line["event"] for line in lines] == ["the movie so far was not published"]
    assert seen == []


def test_what_goes_wrong_beside_the_engine_is_raised(tmp_path: Path) -> None:
    def full() -> None:
        raise DiskFull("no room")

    shown = ShownMovie(
        Movie(tmp_path / "m.mp4"), LocalStorage(tmp_path / "files"), tmp_path, "outputs/a", print
    )
    with MovieLine(shown) as line:
        line.add(full)
        with pytest.raises(DiskFull):
            line.finish()
        line.check()


@pytest.fixture
def told(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Keys that became the preview. The third segment begins when there is a movie to look at."""
    seen: list[str] = []
    begin, show, movie = JobListener.begin_segment, Lease.show_preview, threading.Event()

    def begun(listener: JobListener, index: int, segments: int, done: float, share: float) -> None:
        assert index != 2 or movie.wait(PATIENCE)
        begin(listener, index, segments, done, share)

    def shown(lease: Lease, key: str) -> None:
        seen.append(key)
        if "/movie-" in key:
            movie.set()
        show(lease, key)

    monkeypatch.setattr(JobListener, "begin_segment", begun)
    monkeypatch.setattr(Lease, "show_preview", shown)
    return seen


def test_the_preview_of_a_running_chain_is_the_movie_so_far(
    place: Place, told: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    reports: list[Progress] = []
    report = Lease.report

    def reported(lease: Lease, progress: Progress) -> None:
        reports.append(progress)
        report(lease, progress)

    monkeypatch.setattr(Lease, "report", reported)
    segments: list[Json] = [{"prompt": name} for name in "abcd"]
    task = place.enqueue(place.job(svi2pro=True, num_frames=9, segments=segments, steps=2))
    assert place.work() == 0
    movies = [key for key in told if "/movie-" in key]
    assert movies
    assert movies == sorted(movies)
    assert told[told.index(movies[0]) :] == movies
    whole = [read_number(frame) for frame in read_clip(place.stored(task, "video.mp4"))]
    for key in movies:
        part = [read_number(frame) for frame in read_clip(place.local / "files" / key)]
        assert part == whole[: len(part)]
        assert len(part) >= 9
    percents = [progress.percent for progress in reports]
    assert percents == sorted(percents)
    assert {(progress.segment, progress.segments) for progress in reports} >= {(i, 4) for i in range(4)}


def test_every_frame_of_a_movie_is_coded_once(place: Place) -> None:
    segments: list[Json] = [{"prompt": name} for name in "abc"]
    task = place.enqueue(place.job(svi2pro=True, num_frames=9, segments=segments))
    assert place.work() == 0
    sheet = place.stored(task, "contact_sheet.webp").read_bytes()
    assert sheet[:4] == b"RIFF"
    result = place.result(task)
    assert result["files"].keys() == {"video", "poster", "contact_sheet", "latents"}
    assert [segment["seam"] is None for segment in result["segments"]] == [True, False, False]
    assert all(set(segment["seam"]) == {"difference", "colour"} for segment in result["segments"][1:])
    assert np.all([segment["scores"]["motion"] > 0 for segment in result["segments"]])
