"""Large files: in chunks, across interruptions and restarts, never over another object."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterator
from pathlib import Path

import httpx
import pytest

from headless.adapters.supabase_client import SupabaseConnection, connect
from headless.adapters.supabase_resumable import CHUNK_BYTES
from headless.adapters.supabase_storage import SupabaseStorage
from headless.errors import BadInput, LeaseLost, StorageUnavailable, Unsafe, UsageError
from tests.supabase.conftest import ALICE, People
from tests.supabase.losing import LosingTransport, once_each
from tests.supabase.stack import Stack

KEY = "outputs/service/task/1/movie.mp4"


def no_sleep(_: float) -> None:
    """Retries need not wait here."""


def sha256(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


class Wire(httpx.BaseTransport):
    """Records every request; `disturb` may answer it, or raise, in the server's place."""

    def __init__(self, disturb: Callable[[httpx.Request], httpx.Response | None] | None = None) -> None:
        self.seen: list[str] = []
        self.headers: list[httpx.Headers] = []
        self.disturb = disturb or (lambda request: None)
        self._inner = httpx.HTTPTransport()

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        offset = request.headers.get("Upload-Offset", "")
        self.seen.append(f"{request.method} {offset}".strip())
        self.headers.append(request.headers)
        return self.disturb(request) or self._inner.handle_request(request)

    def close(self) -> None:
        self._inner.close()


Opener = Callable[..., SupabaseStorage]


@pytest.fixture
def open_storage(supabase_stack: Stack) -> Iterator[Opener]:
    """Storage over a given transport; each one is like a restarted process."""
    opened: list[SupabaseConnection] = []

    def open_one(transport: httpx.BaseTransport | None = None, token: str | None = None) -> SupabaseStorage:
        keys = supabase_stack.keys
        connection = connect(
            supabase_stack.url, token or keys.secret, anon_key=keys.publishable, transport=transport
        )
        opened.append(connection)
        return SupabaseStorage(connection, sleep=no_sleep)

    yield open_one
    for connection in opened:
        connection.close()


def cut_after(patches: int) -> Callable[[httpx.Request], httpx.Response | None]:
    """The network is gone for good after so many chunks."""
    count = 0

    def disturb(request: httpx.Request) -> None:
        nonlocal count
        count += request.method == "PATCH"
        if count > patches:
            raise httpx.ConnectError("the network is gone")

    return disturb


def test_a_large_file_goes_up_in_chunks(open_storage: Opener, large_file: Path, tmp_path: Path) -> None:
    wire = Wire()
    storage = open_storage(wire)
    stored = storage.put(KEY, large_file, "video/mp4")
    assert (stored.sha256, stored.size) == (sha256(large_file), 13_000_000)
    assert wire.seen == ["POST", "PATCH 0", f"PATCH {CHUNK_BYTES}", f"PATCH {2 * CHUNK_BYTES}", "GET"]
    assert storage.fetch(KEY, tmp_path / "copy", 13_000_000).sha256 == stored.sha256
    assert all("x-upsert" not in headers for headers in wire.headers)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["copy", "movie.mp4"]


def test_a_file_of_exactly_one_chunk_goes_up_at_once(open_storage: Opener, tmp_path: Path) -> None:
    source = tmp_path / "source"
    source.write_bytes(b"x" * CHUNK_BYTES)
    wire = Wire()
    open_storage(wire).put(KEY, source, "video/mp4")
    assert wire.seen == ["POST", "GET"]
    assert all("x-upsert" not in headers for headers in wire.headers)
    source.write_bytes(b"y" * (CHUNK_BYTES + 1))
    wire.seen.clear()
    open_storage(wire).put(f"{KEY}2", source, "video/mp4")
    assert wire.seen == ["POST", "PATCH 0", f"PATCH {CHUNK_BYTES}", "GET"]


@pytest.mark.parametrize("chunks", [0, 1, 2])
def test_an_upload_goes_on_after_a_restart(open_storage: Opener, large_file: Path, chunks: int) -> None:
    with pytest.raises(StorageUnavailable):
        open_storage(Wire(cut_after(chunks))).put(KEY, large_file, "video/mp4")
    wire = Wire()
    assert open_storage(wire).put(KEY, large_file, "video/mp4").sha256 == sha256(large_file)
    assert wire.seen[:2] == ["HEAD", f"PATCH {chunks * CHUNK_BYTES}"]
    assert not large_file.with_name("movie.mp4.upload").exists()


def test_the_loss_of_every_answer_is_harmless(open_storage: Opener, large_file: Path, tmp_path: Path) -> None:
    losing = LosingTransport(once_each())
    storage = open_storage(losing)
    assert storage.put(KEY, large_file, "video/mp4").sha256 == sha256(large_file)
    small = tmp_path / "small"
    small.write_bytes(b"a poster")
    storage.put(f"{KEY}.webp", small, "image/webp")
    assert storage.fetch(f"{KEY}.webp", tmp_path / "copy", 100).size == 8
    assert storage.exists(f"{KEY}.webp")
    assert httpx.get(storage.locate(f"{KEY}.webp")).content == b"a poster"
    assert {entry.split()[0] for entry in losing.lost} == {"POST", "PATCH", "HEAD", "GET"}


def test_the_loss_of_the_last_chunks_answer_is_harmless(open_storage: Opener, large_file: Path) -> None:
    last = str(2 * CHUNK_BYTES)
    losing = LosingTransport(lambda request: request.headers.get("Upload-Offset") == last)
    assert open_storage(losing).put(KEY, large_file, "video/mp4").sha256 == sha256(large_file)
    assert len(losing.lost) == 1


def test_a_changed_file_does_not_continue_an_old_upload(open_storage: Opener, large_file: Path) -> None:
    with pytest.raises(StorageUnavailable):
        open_storage(Wire(cut_after(1))).put(KEY, large_file, "video/mp4")
    large_file.write_bytes(large_file.read_bytes()[::-1])
    wire = Wire()
    assert open_storage(wire).put(KEY, large_file, "video/mp4").sha256 == sha256(large_file)
    assert wire.seen[:2] == ["POST", "PATCH 0"]


@pytest.mark.parametrize(
    "note", ["", "{", "[]", '{"key": 1}', json.dumps({"key": KEY, "sha256": "0", "name": "x", "sent": 0})]
)
def test_a_damaged_note_only_costs_time(open_storage: Opener, large_file: Path, note: str) -> None:
    large_file.with_name("movie.mp4.upload").write_text(note)
    assert open_storage().put(KEY, large_file, "video/mp4").sha256 == sha256(large_file)


def test_a_folder_that_takes_no_note_only_costs_time(open_storage: Opener, large_file: Path) -> None:
    large_file.with_name("movie.mp4.upload.part").mkdir()
    assert open_storage().put(KEY, large_file, "video/mp4").sha256 == sha256(large_file)


@pytest.mark.parametrize("status", [404, 410])
def test_an_upload_that_expired_starts_over(open_storage: Opener, large_file: Path, status: int) -> None:
    with pytest.raises(StorageUnavailable):
        open_storage(Wire(cut_after(1))).put(KEY, large_file, "video/mp4")
    wire = Wire(lambda request: httpx.Response(status) if request.method == "HEAD" else None)
    assert open_storage(wire).put(KEY, large_file, "video/mp4").sha256 == sha256(large_file)
    assert wire.seen[:3] == ["HEAD", "POST", "PATCH 0"]


def first_time(
    method: str, answer: Callable[[], httpx.Response]
) -> Callable[[httpx.Request], httpx.Response | None]:
    """Answers the first request of a method in the server's place."""
    left = [answer]

    def disturb(request: httpx.Request) -> httpx.Response | None:
        return left.pop()() if request.method == method and left else None

    return disturb


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


def test_a_large_object_is_never_overwritten(open_storage: Opener, large_file: Path, tmp_path: Path) -> None:
    storage = open_storage()
    first = storage.put(KEY, large_file, "video/mp4")
    assert storage.put(KEY, large_file, "video/mp4") == first
    other = tmp_path / "other"
    other.write_bytes(large_file.read_bytes()[::-1])
    with pytest.raises(Unsafe, match="never overwritten"):
        storage.put(KEY, other, "video/mp4")


@pytest.mark.parametrize("damage", [b"", b"x" * 13_000_000])
def test_an_object_that_comes_back_different_is_not_believed(
    open_storage: Opener, large_file: Path, damage: bytes
) -> None:
    wire = Wire(first_time("GET", lambda: httpx.Response(200, content=damage)))
    assert open_storage(wire).put(KEY, large_file, "video/mp4").sha256 == sha256(large_file)
    assert wire.seen.count("GET") == 2


def test_an_object_that_stays_different_is_refused(open_storage: Opener, large_file: Path) -> None:
    wire = Wire(lambda request: httpx.Response(200, content=b"") if request.method == "GET" else None)
    with pytest.raises(Unsafe):
        open_storage(wire).put(KEY, large_file, "video/mp4")


@pytest.mark.parametrize("size", [8, 13_000_000])
def test_a_lost_attempt_uploads_nothing(
    people: People, supabase_stack: Stack, open_storage: Opener, large_file: Path, size: int
) -> None:
    large_file.write_bytes(large_file.read_bytes()[:size])
    people.alice.insert("tasks", {"params": {}})
    zombie = people.worker.rpc("claim_task_v1", worker_id="w1", claim_id="c1").json()
    storage = open_storage(token=supabase_stack.keys.worker())
    storage.put(f"{zombie['output_prefix']}/early.mp4", large_file, "video/mp4")
    supabase_stack.advance(61)
    people.worker.rpc("claim_task_v1", worker_id="w2", claim_id="c2")
    with pytest.raises(LeaseLost, match="another attempt"):
        storage.put(f"{zombie['output_prefix']}/movie.mp4", large_file, "video/mp4")


def test_an_attempt_that_is_lost_midway_publishes_nothing(
    people: People, supabase_stack: Stack, open_storage: Opener, large_file: Path
) -> None:
    people.alice.insert("tasks", {"params": {}})
    key = (
        people.worker.rpc("claim_task_v1", worker_id="w1", claim_id="c1").json()["output_prefix"]
        + "/movie.mp4"
    )

    def disturb(request: httpx.Request) -> None:
        if request.headers.get("Upload-Offset") == str(CHUNK_BYTES):
            supabase_stack.advance(61)
            people.worker.rpc("claim_task_v1", worker_id="w2", claim_id="c2")

    with pytest.raises(LeaseLost):
        open_storage(Wire(disturb), supabase_stack.keys.worker()).put(key, large_file, "video/mp4")
    assert people.service.list_objects("outputs/") == []


def test_an_input_of_somebody_else_is_unsafe(
    supabase_stack: Stack, open_storage: Opener, large_file: Path
) -> None:
    storage = open_storage(token=supabase_stack.keys.user(ALICE))
    with pytest.raises(Unsafe, match="inputs/<your user id>"):
        storage.put("inputs/somebody/movie.mp4", large_file, "video/mp4")


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
