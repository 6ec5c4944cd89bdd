"""What a clip still needs beside the engine: in order, and nothing after an error."""

from __future__ import annotations

import threading
from functools import partial
from itertools import pairwise
from pathlib import Path

import pytest

from headless.adapters.local_storage import LocalStorage
from headless.growing_movie import GROWTH, SHOWN_EACH, MovieLine, ShownMovie
from headless.media.movie import Movie

PATIENCE = 60.0


@pytest.fixture
def line(tmp_path: Path) -> MovieLine:
    storage = LocalStorage(tmp_path / "files")
    return MovieLine(
        ShownMovie(Movie(tmp_path / "movie.mp4"), storage, tmp_path, "outputs/a", lambda _: None)
    )


def _fail() -> None:
    raise OSError(5, "no such device")


def test_everything_is_done_in_order(line: MovieLine) -> None:
    done: list[int] = []
    with line:
        for number in range(20):
            line.add(partial(done.append, number))
        line.finish()
    assert done == list(range(20))


def test_nothing_is_appended_behind_a_gap(line: MovieLine) -> None:
    done: list[str] = []
    with line:
        line.add(lambda: done.append("first"))
        line.add(_fail)
        line.add(lambda: done.append("behind the gap"))
        with pytest.raises(OSError, match="no such device"):
            line.finish()
    assert done == ["first"]


def test_a_line_that_is_left_drops_what_waits(line: MovieLine) -> None:
    """As after a cancel: what waits would only delay the end."""
    begun, go = threading.Event(), threading.Event()
    done: list[str] = []

    def first() -> None:
        begun.set()
        assert go.wait(PATIENCE)

    line.add(first)
    line.add(lambda: done.append("dropped"))
    assert begun.wait(PATIENCE)
    leaving = threading.Thread(target=line.__exit__, args=(None, None, None))
    leaving.start()
    while not line._pending[1].cancelled():
        assert leaving.is_alive()
    go.set()
    leaving.join(PATIENCE)
    assert done == []


def test_what_is_uploaded_grows_with_the_movie_and_not_with_its_square(tmp_path: Path) -> None:
    counted = _Counted(tmp_path / "movie.mp4")
    uploads: list[int] = []
    shown = ShownMovie(counted, LocalStorage(tmp_path / "files"), tmp_path, "outputs/a", lambda _: None)
    counted.snapshots = uploads
    for segments in range(1, 257):
        counted.now = 80 * segments
        shown.offer(segments)
        shown._pool.submit(lambda: None).result()
    shown.close()
    assert uploads[:SHOWN_EACH] == [80 * segments for segments in range(1, SHOWN_EACH + 1)]
    assert all(after >= GROWTH * before for before, after in pairwise(uploads[SHOWN_EACH - 1 :]))
    assert sum(uploads[SHOWN_EACH:]) <= 11 * 80 * 256


class _Counted(Movie):
    """A movie of any length without a file of that size."""

    now = 0
    snapshots: list[int]

    @property
    def frames(self) -> int:
        return self.now

    def snapshot(self, destination: Path) -> Path:
        self.snapshots.append(self.now)
        destination.write_bytes(b"")
        return destination
