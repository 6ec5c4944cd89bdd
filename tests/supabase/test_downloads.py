"""Fetching: complete or not at all."""

from __future__ import annotations

import errno
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
import pytest

from headless.adapters.supabase_client import connect
from headless.adapters.supabase_storage import SupabaseStorage
from headless.errors import BadInput, DiskFull, StorageUnavailable
from tests.supabase.stack import Keys

KEY = "inputs/service/start.png"
SECRET = Keys.make().secret


def no_sleep(_: float) -> None:
    """Retries need not wait here."""


def storage_that_answers(*answers: httpx.Response) -> SupabaseStorage:
    """A server that gives these answers in turn."""
    left = list(answers)
    transport = httpx.MockTransport(lambda request: left.pop(0))
    return SupabaseStorage(connect("http://127.0.0.1:9", SECRET, transport=transport), sleep=no_sleep)


@contextmanager
def raw_server(answers: list[bytes]) -> Iterator[str]:
    """A server that writes these bytes and hangs up, once for each connection."""
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def serve() -> None:
            for answer in answers:
                connection, _ = listener.accept()
                with connection:
                    connection.recv(65536)
                    connection.sendall(answer)

        thread = threading.Thread(target=serve)
        thread.start()
        yield f"http://127.0.0.1:{listener.getsockname()[1]}"
        thread.join(30)


def test_a_download_that_is_cut_off_starts_over(tmp_path: Path) -> None:
    cut = b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\nshort"
    whole = b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\nConnection: close\r\n\r\ndone"
    with raw_server([cut, whole]) as url:
        connection = connect(url, SECRET)
        stored = SupabaseStorage(connection, sleep=no_sleep).fetch(KEY, tmp_path / "copy", 1000)
        connection.close()
    assert stored.size == 4
    assert [path.name for path in tmp_path.iterdir()] == ["copy"]


def test_a_server_that_only_ever_cuts_off_is_unavailable(tmp_path: Path) -> None:
    cut = b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\nshort"
    with raw_server([cut] * 6) as url:
        connection = connect(url, SECRET)
        with pytest.raises(StorageUnavailable):
            SupabaseStorage(connection, sleep=no_sleep).fetch(KEY, tmp_path / "copy", 1000)
        connection.close()
    assert list(tmp_path.iterdir()) == []


def test_a_body_without_an_announced_length_is_limited_too(tmp_path: Path) -> None:
    endless = b"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n" + b"x" * 5000
    with raw_server([endless]) as url:
        connection = connect(url, SECRET)
        with pytest.raises(BadInput, match="at most 1000"):
            SupabaseStorage(connection).fetch(KEY, tmp_path / "copy", 1000)
        connection.close()
    assert list(tmp_path.iterdir()) == []


def test_an_announced_length_above_the_limit_is_not_even_read(tmp_path: Path) -> None:
    storage = storage_that_answers(
        httpx.Response(200, headers={"Content-Length": "5000"}, content=b"x" * 5000)
    )
    with pytest.raises(BadInput, match="at most 1000"):
        storage.fetch(KEY, tmp_path / "copy", 1000)


def test_an_existing_copy_is_replaced_only_by_a_whole_one(tmp_path: Path) -> None:
    (tmp_path / "copy").write_bytes(b"old")
    storage = storage_that_answers(
        httpx.Response(200, content=b"x" * 5000), httpx.Response(200, content=b"new")
    )
    with pytest.raises(BadInput):
        storage.fetch(KEY, tmp_path / "copy", 1000)
    assert (tmp_path / "copy").read_bytes() == b"old"
    storage.fetch(KEY, tmp_path / "copy", 1000)
    assert (tmp_path / "copy").read_bytes() == b"new"


def test_a_full_disk_is_told_apart(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def no_room(self: Path, target: Path) -> Path:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(Path, "replace", no_room)
    with pytest.raises(DiskFull, match="free some space"):
        storage_that_answers(httpx.Response(200, content=b"x")).fetch(KEY, tmp_path / "copy", 10)
    assert list(tmp_path.iterdir()) == []


def test_a_folder_that_is_not_there_is_the_callers_mistake(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        storage_that_answers(httpx.Response(200, content=b"x")).fetch(KEY, tmp_path / "no" / "copy", 10)
