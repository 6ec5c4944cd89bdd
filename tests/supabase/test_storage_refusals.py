"""Storage servers that refuse, miscount, forget and lie."""

from __future__ import annotations

import json
from pathlib import Path

import httpx
import pytest

from headless.adapters.supabase_resumable import CHUNK_BYTES
from headless.errors import BadInput, StorageUnavailable, Unsafe, UsageError
from tests.supabase.wire import KEY, Opener, Wire, cut_after, first_time, sha256


@pytest.mark.parametrize("status", [404, 410])
def test_an_upload_that_expired_starts_over(open_storage: Opener, large_file: Path, status: int) -> None:
    with pytest.raises(StorageUnavailable):
        open_storage(Wire(cut_after(1))).put(KEY, large_file, "video/mp4")
    wire = Wire(lambda request: httpx.Response(status) if request.method == "HEAD" else None)
    assert open_storage(wire).put(KEY, large_file, "video/mp4").sha256 == sha256(large_file)
    assert wire.seen[:3] == ["HEAD", "POST", "PATCH 0"]


@pytest.mark.parametrize("status", [404, 410, 423, 429, 500, 503])
def test_a_chunk_that_is_turned_away_is_sent_again(
    open_storage: Opener, large_file: Path, status: int
) -> None:
    wire = Wire(first_time("PATCH", lambda: httpx.Response(status, text="not now")))
    assert open_storage(wire).put(KEY, large_file, "video/mp4").sha256 == sha256(large_file)
    assert wire.seen.count("PATCH 0") == 2


@pytest.mark.parametrize("status", [423, 500, 503])
def test_a_server_that_cannot_say_where_it_stands_is_asked_again(
    open_storage: Opener, large_file: Path, status: int
) -> None:
    with pytest.raises(StorageUnavailable):
        open_storage(Wire(cut_after(1))).put(KEY, large_file, "video/mp4")
    wire = Wire(first_time("HEAD", lambda: httpx.Response(status)))
    assert open_storage(wire).put(KEY, large_file, "video/mp4").sha256 == sha256(large_file)
    assert wire.seen[:3] == ["HEAD", "HEAD", f"PATCH {CHUNK_BYTES}"]


@pytest.mark.parametrize(
    ("method", "offset"),
    [
        ("PATCH", "0"),
        ("PATCH", str(99 * CHUNK_BYTES)),
        ("PATCH", "many"),
        ("PATCH", ""),
        ("HEAD", str(99 * CHUNK_BYTES)),
    ],
)
def test_a_server_that_miscounts_is_not_believed(
    open_storage: Opener, large_file: Path, method: str, offset: str
) -> None:
    with pytest.raises(StorageUnavailable):
        open_storage(Wire(cut_after(0))).put(KEY, large_file, "video/mp4")
    lie = httpx.Response(204 if method == "PATCH" else 200, headers={"Upload-Offset": offset})
    wire = Wire(first_time(method, lambda: lie))
    assert open_storage(wire).put(KEY, large_file, "video/mp4").sha256 == sha256(large_file)


def test_a_conflict_asks_where_the_server_stands(open_storage: Opener, large_file: Path) -> None:
    """Another copy of this upload, of a process thought dead, has sent the first chunk meanwhile."""
    other = open_storage()
    first = True

    def disturb(request: httpx.Request) -> None:
        nonlocal first
        if request.method == "PATCH" and first:
            first = False
            with httpx.Client(headers=request.headers) as client:
                client.patch(request.url, content=request.read()).raise_for_status()

    wire = Wire(disturb)
    assert open_storage(wire).put(KEY, large_file, "video/mp4").sha256 == sha256(large_file)
    assert wire.seen[:4] == ["POST", "PATCH 0", "HEAD", f"PATCH {CHUNK_BYTES}"]
    assert other.exists(KEY)


def test_a_server_that_never_moves_is_given_up(open_storage: Opener, large_file: Path) -> None:
    def disturb(request: httpx.Request) -> httpx.Response | None:
        return httpx.Response(204, headers={"Upload-Offset": "0"}) if request.method == "PATCH" else None

    with pytest.raises(StorageUnavailable, match="lost count"):
        open_storage(Wire(disturb)).put(KEY, large_file, "video/mp4")


def test_a_location_elsewhere_never_gets_the_token(open_storage: Opener, large_file: Path) -> None:
    hosts: set[str] = set()

    def disturb(request: httpx.Request) -> httpx.Response | None:
        hosts.add(request.url.host)
        if request.method == "POST":
            return httpx.Response(201, headers={"Location": "https://attacker.example/upload/abc"})
        return None

    with pytest.raises(StorageUnavailable):
        open_storage(Wire(disturb)).put(KEY, large_file, "video/mp4")
    assert hosts == {"127.0.0.1"}


def test_an_upload_without_a_location_is_unavailable(open_storage: Opener, large_file: Path) -> None:
    wire = Wire(lambda request: httpx.Response(201) if request.method == "POST" else None)
    with pytest.raises(StorageUnavailable, match="without saying where"):
        open_storage(wire).put(KEY, large_file, "video/mp4")


@pytest.mark.parametrize("damage", [b"", b"x" * 13_000_000])
def test_an_object_that_comes_back_different_is_not_believed(
    open_storage: Opener, large_file: Path, damage: bytes
) -> None:
    wire = Wire(first_time("GET", lambda: httpx.Response(200, content=damage)))
    assert open_storage(wire).put(KEY, large_file, "video/mp4").sha256 == sha256(large_file)
    assert wire.seen.count("GET") == 2


def test_an_object_that_stays_different_is_the_fault_of_storage(
    open_storage: Opener, large_file: Path
) -> None:
    """Another attempt at the task may succeed: it writes under another name."""
    wire = Wire(lambda request: httpx.Response(200, content=b"") if request.method == "GET" else None)
    storage = open_storage(wire)
    for _ in range(2):
        with pytest.raises(StorageUnavailable, match="other bytes than were sent"):
            storage.put(KEY, large_file, "video/mp4")


def test_an_object_of_somebody_else_is_never_taken_for_ours(open_storage: Opener, large_file: Path) -> None:
    storage = open_storage()
    storage.put(KEY, large_file, "video/mp4")
    large_file.write_bytes(b"other")
    with pytest.raises(Unsafe, match="never overwritten"):
        storage.put(KEY, large_file, "video/mp4")


@pytest.mark.parametrize(
    ("status", "body", "error", "says"),
    [
        (
            400,
            {"statusCode": "404", "error": "Bucket not found", "message": "Bucket not found"},
            UsageError,
            "migrations",
        ),
        (
            400,
            {"statusCode": "404", "error": "not_found", "message": "Object not found"},
            BadInput,
            "no object",
        ),
        (404, {"message": "Object not found"}, BadInput, "no object"),
        (413, {"statusCode": "413", "message": "Payload too large"}, BadInput, "file size limit"),
        (401, {"message": "jwt expired"}, UsageError, "expired"),
        (
            400,
            {"statusCode": "403", "error": "Unauthorized", "message": "exp claim"},
            UsageError,
            "exp claim",
        ),
        (503, "<html>", StorageUnavailable, "503"),
        (544, {"message": "database timeout"}, StorageUnavailable, "timeout"),
    ],
)
def test_every_refusal_says_whose_fault_it_is(
    open_storage: Opener, tmp_path: Path, status: int, body: object, error: type[Exception], says: str
) -> None:
    content = body if isinstance(body, str) else json.dumps(body)
    storage = open_storage(Wire(lambda request: httpx.Response(status, text=content)))
    small = tmp_path / "small"
    small.write_bytes(b"x")
    with pytest.raises(error, match=says):
        storage.fetch(KEY, tmp_path / "copy", 100)
    with pytest.raises(error, match=says):
        storage.put(KEY, small, "video/mp4")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["small"]
