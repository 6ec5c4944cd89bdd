"""Every implementation of a seam, by name.

To add one: its name here, and a fixture `<name>_queue_harness` or `<name>_storage_harness`.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.contracts.harness import QueueHarness, StorageHarness
from tests.contracts.local_harnesses import LocalStorageHarness, SqliteHarness
from tests.supabase.fixtures import supabase_queue_harness, supabase_storage_harness

__all__ = ["supabase_queue_harness", "supabase_storage_harness"]

QUEUES = ("sqlite_memory", "sqlite_file", "supabase")
STORAGES = ("local", "supabase")


@pytest.fixture(params=QUEUES)
def queue_harness(request: pytest.FixtureRequest) -> QueueHarness:
    """Each queue in turn; a server is only started for the tests that reach it."""
    harness: QueueHarness = request.getfixturevalue(f"{request.param}_queue_harness")
    return harness


@pytest.fixture(params=STORAGES)
def storage_harness(request: pytest.FixtureRequest) -> StorageHarness:
    """Each storage in turn."""
    harness: StorageHarness = request.getfixturevalue(f"{request.param}_storage_harness")
    return harness


@pytest.fixture
def sqlite_memory_queue_harness() -> Iterator[QueueHarness]:
    """SQLite without a file."""
    harness = SqliteHarness(":memory:")
    yield harness
    harness.close()


@pytest.fixture
def sqlite_file_queue_harness(tmp_path: Path) -> Iterator[QueueHarness]:
    """SQLite in a file, as the worker uses it."""
    harness = SqliteHarness(tmp_path / "queue.db")
    yield harness
    harness.close()


@pytest.fixture
def local_storage_harness(tmp_path: Path) -> StorageHarness:
    """A folder."""
    return LocalStorageHarness(tmp_path)
