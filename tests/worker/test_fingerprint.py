"""Large files told apart."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from headless.fingerprint import BLOCK_BYTES, BLOCKS, fingerprint


@pytest.mark.parametrize("size", [0, 1, BLOCK_BYTES, 3 * BLOCK_BYTES + 5, BLOCKS * BLOCK_BYTES])
def test_any_byte_of_a_small_file_counts(tmp_path: Path, size: int) -> None:
    path = tmp_path / "file"
    content = bytearray(os.urandom(size))
    path.write_bytes(content)
    before = fingerprint(path)
    assert fingerprint(path) == before
    for position in {0, size // 2, size - 1} if size else set():
        content[position] ^= 1
        path.write_bytes(content)
        assert fingerprint(path) != before
        content[position] ^= 1


def test_of_a_large_file_size_beginning_and_end_count(tmp_path: Path) -> None:
    path, size = tmp_path / "file", 40_000_000
    path.touch()
    os.truncate(path, size)
    seen = {fingerprint(path)}
    for position in (0, size - 1):
        with path.open("r+b") as file:
            file.seek(position)
            file.write(b"x")
        seen.add(fingerprint(path))
    os.truncate(path, size + 1)
    seen.add(fingerprint(path))
    assert len(seen) == 4
