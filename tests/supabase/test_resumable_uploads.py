"""Large files: in chunks, across interruptions and restarts, never over another object."""

from __future__ import annotations

import json
from pathlib import Path

import httpx
import pytest

from headless.adapters.supabase_resumable import CHUNK_BYTES
from headless.errors import LeaseLost, StorageUnavailable, Unsafe
from tests.supabase.conftest import ALICE, People
from tests.supabase.losing import LosingTransport, once_each
from tests.supabase.stack import Stack
from tests.supabase.wire import KEY, Opener, Wire, cut_after, sha256


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


def test_a_large_object_is_never_overwritten(open_storage: Opener, large_file: Path, tmp_path: Path) -> None:
    storage = open_storage()
    first = storage.put(KEY, large_file, "video/mp4")
    assert storage.put(KEY, large_file, "video/mp4") == first
    other = tmp_path / "other"
    other.write_bytes(large_file.read_bytes()[::-1])
    with pytest.raises(Unsafe, match="never overwritten"):
        storage.put(KEY, other, "video/mp4")


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
