"""The contract of every storage."""

from __future__ import annotations

import hashlib
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from headless.errors import BadInput, Unsafe
from headless.keys import segment_key
from tests.contracts.harness import StorageHarness

UNSAFE = (
    "",
    "/etc/passwd",
    "../secret",
    "outputs/../../secret",
    "outputs/./x",
    "outputs//x",
    "outputs/",
    "..\\secret",
    "C:\\x",
    "C:x",
    "//host/share",
    "outputs/%2e%2e/secret",
    "outputs/%252e%252e/secret",
    "outputs/\u2024\u2024/secret",
    "outputs/a\0b",
    "outputs/a\nb",
    "outputs/CON",
    "outputs/nul.txt",
    "outputs/x.",
    "outputs/x ",
    "outputs/" + "x" * 300,
    "outputs/\udcff",
)


def sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


@pytest.mark.parametrize(
    "content", [b"", b"a movie", bytes(range(256)) * 9000], ids=["empty", "small", "large"]
)
def test_what_is_put_can_be_fetched(storage_harness: StorageHarness, tmp_path: Path, content: bytes) -> None:
    storage, key = storage_harness.storage, f"{storage_harness.prefix}/movie.mp4"
    assert not storage.exists(key)
    stored = storage.put(key, storage_harness.file(content), "video/mp4")
    assert (stored.key, stored.sha256, stored.size) == (key, sha256(content), len(content))
    assert storage.exists(key)
    assert storage.fetch(key, tmp_path / "copy", len(content)) == stored
    assert (tmp_path / "copy").read_bytes() == content
    assert storage_harness.open_locator(storage.locate(key)) == content


def test_a_segment_is_found_again_by_what_went_into_it(
    storage_harness: StorageHarness, tmp_path: Path
) -> None:
    """Whoever is second with other bytes is told so: the first latents stay, and are as good."""
    storage, owner = storage_harness.storage, storage_harness.prefix.split("/")[1]
    key = segment_key(owner, sha256(b"everything that went in"))
    assert not storage.exists(key)
    storage.put(key, storage_harness.file(b"latents"), "application/octet-stream")
    with pytest.raises(Unsafe):
        storage.put(key, storage_harness.file(b"others"), "application/octet-stream")
    assert storage.exists(key)
    assert storage.fetch(key, tmp_path / "copy", 100).sha256 == sha256(b"latents")


def test_the_same_bytes_again_are_fine(storage_harness: StorageHarness) -> None:
    storage, key = storage_harness.storage, f"{storage_harness.prefix}/movie.mp4"
    first = storage.put(key, storage_harness.file(b"a movie"), "video/mp4")
    assert storage.put(key, storage_harness.file(b"a movie"), "video/mp4") == first


def test_other_bytes_never_overwrite(storage_harness: StorageHarness, tmp_path: Path) -> None:
    storage, key = storage_harness.storage, f"{storage_harness.prefix}/movie.mp4"
    storage.put(key, storage_harness.file(b"a movie"), "video/mp4")
    for other in (b"another movie", b"", b"a movie and more"):
        with pytest.raises(Unsafe, match=r"movie\.mp4"):
            storage.put(key, storage_harness.file(other), "video/mp4")
    storage.fetch(key, tmp_path / "copy", 100)
    assert (tmp_path / "copy").read_bytes() == b"a movie"


def test_of_many_writers_of_one_key_one_wins(storage_harness: StorageHarness, tmp_path: Path) -> None:
    storage, key = storage_harness.storage, f"{storage_harness.prefix}/movie.mp4"
    sources = [storage_harness.file(bytes([number]) * 50_000) for number in range(6)]

    def put(source: Path) -> str | None:
        try:
            return storage.put(key, source, "video/mp4").sha256
        except Unsafe:
            return None

    with ThreadPoolExecutor(6) as pool:
        won = [answer for answer in pool.map(put, sources) if answer is not None]
    assert len(won) == 1
    assert storage.fetch(key, tmp_path / "copy", 50_000).sha256 == won[0]


def test_an_absent_object_is_bad_input(storage_harness: StorageHarness, tmp_path: Path) -> None:
    with pytest.raises(BadInput, match=r"absent\.png"):
        storage_harness.storage.fetch(f"{storage_harness.prefix}/absent.png", tmp_path / "copy", 100)
    assert list(tmp_path.glob("copy*")) == []


def test_an_object_above_the_limit_is_bad_input(storage_harness: StorageHarness, tmp_path: Path) -> None:
    storage, key = storage_harness.storage, f"{storage_harness.prefix}/movie.mp4"
    storage.put(key, storage_harness.file(b"x" * 101), "video/mp4")
    with pytest.raises(BadInput, match="100"):
        storage.fetch(key, tmp_path / "copy", 100)
    assert list(tmp_path.glob("copy*")) == []


def test_a_source_that_is_not_there_is_bad_input(storage_harness: StorageHarness, tmp_path: Path) -> None:
    with pytest.raises(BadInput, match="absent"):
        storage_harness.storage.put(f"{storage_harness.prefix}/movie.mp4", tmp_path / "absent", "video/mp4")
    assert not storage_harness.storage.exists(f"{storage_harness.prefix}/movie.mp4")


@pytest.mark.parametrize("key", UNSAFE)
def test_an_unsafe_key_is_refused_by_every_call(
    storage_harness: StorageHarness, tmp_path: Path, key: str
) -> None:
    storage = storage_harness.storage
    with pytest.raises(Unsafe):
        storage.put(key, storage_harness.file(b"x"), "video/mp4")
    with pytest.raises(Unsafe):
        storage.fetch(key, tmp_path / "copy", 100)
    with pytest.raises(Unsafe):
        storage.exists(key)
    with pytest.raises(Unsafe):
        storage.locate(key)
